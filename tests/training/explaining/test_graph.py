"""attribution.onnx is verified in float64, and made in float64 where float32 products are not exact enough."""

import numpy as np
import onnx
import pytest

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN, KANConfig, SymbolicEdge
from kan_model.lowering.attribution import INPUT_NAMES, OUTPUT_NAMES
from kan_model.network.transform import Affine, Exponential, OutputTransform, Softmax
from kan_model.onnx_runtime import open_session
from training.explaining import attribution_message, median_of_columns, verified_attribution
from training.publishing.export import Plan, Trained, export
from training.publishing.verify import VerificationFailed

ROWS = np.random.default_rng(0).uniform(-1, 1, (300, 2)).astype(np.float32)
REFERENCE = median_of_columns(["a", "b"], ROWS.astype(np.float64))


def is_in_float64(model: onnx.ModelProto) -> bool:
    """Whether the products are, which are the largest constants."""
    return max(model.graph.initializer, key=lambda each: len(each.raw_data)).data_type == onnx.TensorProto.DOUBLE


def test_a_calm_network_has_float32_products() -> None:
    """They are faster, and their errors far below the tolerance."""
    made = verified_attribution(KAN(KANConfig((2, 8, 1))), None, None, REFERENCE, ROWS, 1e-5)
    assert not is_in_float64(made.model)
    assert made.max_relative_error <= 0.5e-5


def test_where_float32_loses_digits_the_graph_is_in_float64() -> None:
    """Two steep edges that cancel each other."""
    kan = KAN(KANConfig((2, 2, 1)))
    steep = [SymbolicEdge(0, 0, "x", 1, 0, 1e4, 0), SymbolicEdge(1, 0, "x", 1, 0, 1e4, 0)]
    cancel = [SymbolicEdge(0, 0, "x", 1, 0, 1, 0), SymbolicEdge(0, 1, "x", 1, 0, -1, 0)]
    kan = KAN.of_layers([kan.layers[0].with_symbolic(steep), kan.layers[1].with_symbolic(cancel)])
    made = verified_attribution(kan, None, None, REFERENCE, ROWS, 1e-5)
    assert is_in_float64(made.model)
    assert made.max_relative_error < 1e-5


@pytest.mark.parametrize(("mean", "scale"), [(1014, 2), (-300, 0.5)])
def test_answers_that_are_large_beside_their_range_are_not_refused(mean: float, scale: float) -> None:
    """The float32 rounding of answers is more than 1e-5 of their range; contributions add up but for that rounding."""
    kan = KAN(KANConfig((2, 3, 1), noise=1.0))
    outputs = Affine(np.array([mean], np.float32), np.array([scale], np.float32))
    made = export(Trained(kan, None, outputs), Plan(1e-4, (), "float32"), training_rows=ROWS, reference=REFERENCE)
    assert made.attribution is not None
    assert 0 < made.attribution.max_relative_error <= 1e-5
    session = open_session(made.attribution.model)
    feed = dict(zip(INPUT_NAMES, (ROWS, REFERENCE.values[None]), strict=True))
    got, explained, baseline = (each.astype(np.float64) for each in session.run_named(OUTPUT_NAMES, feed))
    off = np.abs(got.sum(axis=2) - (explained - baseline))
    spacing = np.spacing(np.float32(np.abs(explained).max()))
    assert off.max() <= 1e-5 * max(np.ptp(explained), np.abs(got).sum(axis=2).max()) + 2 * spacing


def test_a_wrong_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of another network: the version is not published."""
    kan, other = (KAN(KANConfig((2, 3, 1), noise=1.0), seed=seed) for seed in (0, 1))
    made = verified_attribution(other, None, None, REFERENCE, ROWS, 1e-5).model
    monkeypatch.setattr("training.explaining.graph.attribution_model", lambda *_, **__: made)
    with pytest.raises(VerificationFailed, match=r"attribution.onnx differs from float64 by .*; wanted 1e-05 or less"):
        export(Trained(kan, None, None), Plan(1e-5, (), "float32"), training_rows=ROWS, reference=REFERENCE)


@pytest.mark.parametrize("outputs", ["softmax", "affine", "exponential"])
@pytest.mark.parametrize("has_rows", [True, False])
def test_what_the_manifest_says(outputs: str, has_rows: bool) -> None:
    """Reference row, columns, whether scores are explained, and the error, for each transform and without a table."""
    vector = np.ones(2, dtype=np.float32)
    transform: dict[str, OutputTransform] = {
        "softmax": Softmax(),
        "affine": Affine(vector, vector),
        "exponential": Exponential(vector, vector),
    }
    made = verified_attribution(
        KAN(KANConfig((2, 3, 2))), None, transform[outputs], REFERENCE, ROWS if has_rows else None, 1e-5
    )
    message = attribution_message(made)
    assert message == pb.AttributionGraph(
        reference=REFERENCE.values,
        columns=["a", "b"],
        explains_scores=outputs == "softmax",
        max_rows=made.max_rows,
        max_relative_error=made.max_relative_error,
    )
    assert made.max_rows > 1000
    assert 0 < made.max_relative_error < 1e-5


def test_rows_on_a_pole_are_not_compared() -> None:
    """1/x at 0 has no answer; the other rows are compared."""
    kan = KAN(KANConfig((2, 1)))
    kan = KAN.of_layers([kan.layers[0].with_symbolic([SymbolicEdge(0, 0, "1/x", 1, 0, 1, 0)])])
    rows = ROWS.copy()
    rows[::3, 0] = 0
    made = verified_attribution(kan, None, None, REFERENCE, rows, 1e-5)
    assert 0 < made.max_relative_error < 1e-5


def test_a_wide_network_has_fewer_rows_a_run() -> None:
    """So that the intermediate values of a run take at most 64 MiB."""
    width = 400
    reference = median_of_columns([str(place) for place in range(width)], np.zeros((1, width)))
    made = verified_attribution(KAN(KANConfig((width, 64, 10))), None, None, reference, None, 1e-5)
    assert made.max_rows < 2000
