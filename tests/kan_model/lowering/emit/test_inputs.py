"""Imputation and scaling are the same numbers by few operators, whichever features there are."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.emit.inputs import emit_inputs
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.network.layer import KANLayer
from kan_model.network.transform import InputTransform
from kan_model.onnx_graph import GraphBuilder
from kan_model.onnx_runtime import run

NAN = float("nan")


def transform(features: int, imputed: list[float] | None = None) -> InputTransform:
    """Feature i lies between 100·i and 100·i + 50; the given imputed values replace the middles."""
    low = 100 * np.arange(features)
    middle = low + 20.0 if imputed is None else np.array(imputed)
    return InputTransform((low + 25).astype(np.float32), np.full(features, 0.04, np.float32), middle.astype(np.float32))


def rows_of(features: int) -> NDArray[np.float32]:
    """Rows inside, far outside, and with gaps."""
    random = np.random.default_rng(0)
    inside = 100 * np.arange(features) + 50 * random.random((20, features))
    far = random.choice([-1, 1], (5, features)) * 10 ** random.uniform(1, 6, (5, features))
    gaps = np.where(random.random((10, features)) < 0.5, np.nan, inside[:10])
    return np.concatenate([inside, far, gaps]).astype(np.float32)


def emitted(
    before: InputTransform | None, features: int, read: list[int] | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """The operators that were written and the inputs that they give for the rows."""
    graph = GraphBuilder("features", features)
    places = np.arange(features) if read is None else np.array(read)
    value = emit_inputs(graph, before, places, features)
    model = graph.build({"y": (value, (len(places),))}, "inputs", {})
    return [node.op_type for node in model.graph.node], run(model, rows_of(features))


@pytest.mark.parametrize("features", [1, 8, 16, 17, 60])
def test_inputs_are_those_of_the_transform(features: int) -> None:
    """In float64, for few features and for many: a few roundings of the larger of an input and 1."""
    before = transform(features)
    wanted = before(torch.from_numpy(rows_of(features)).double()).numpy()
    _, got = emitted(before, features)
    np.testing.assert_array_less(np.abs(got - wanted), 4e-7 * np.maximum(np.abs(wanted), 1))


def test_few_features_are_scaled_by_a_product() -> None:
    """Up to 16 features that are all imputed; the operators that read vectors for each row are fewer."""
    assert emitted(transform(16), 16)[0] == ["Sub", "IsNaN", "Where", "Gemm"]
    assert emitted(transform(17), 17)[0] == ["IsNaN", "Where", "Sub", "Mul"]
    assert emitted(transform(20), 20, read=[0, 3, 19])[0] == ["Gather", "Sub", "IsNaN", "Where", "Gemm"]


@pytest.mark.parametrize(
    "imputed",
    [pytest.param([20.0, NAN, 220.0], id="gaps-stay"), pytest.param([20.0, 120.0, 1e4], id="far-from-the-center")],
)
def test_other_features_are_scaled_one_by_one(imputed: list[float]) -> None:
    """NaN that stays would reach its neighbours in a product; a far value would round the sum."""
    before = transform(3, imputed)
    operators, got = emitted(before, 3)
    assert operators == ["IsNaN", "Where", "Sub", "Mul"]
    wanted = before(torch.from_numpy(rows_of(3)).double()).numpy()
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-5)


def test_without_center_or_scale_there_is_no_product() -> None:
    """Features that enter as they are: imputed, and nothing else."""
    before = InputTransform(np.zeros(3, np.float32), np.ones(3, np.float32), np.array([1, 2, 3], np.float32))
    assert emitted(before, 3)[0] == ["IsNaN", "Where"]
    assert emit_inputs(GraphBuilder("features", 3), None, np.arange(3), 3) == "features"


def test_features_that_nobody_reads_do_not_matter(
    make_kan: Callable[..., KAN], with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """NaN that stays NaN in a feature without edges leaves the product of the others finite."""
    kan = KAN.of_layers([with_mask(make_kan((3, 2)).layers[0], np.array([[1, 0, 1], [1, 0, 1]], bool))])
    before = transform(3, [20.0, NAN, 220.0])
    model = predicting_model(kan, before, None, [ClosedForm()])
    assert "Gemm" in {node.op_type for node in model.graph.node if node.name.startswith("inputs/")}
    rows = rows_of(3)[-10:]
    with torch.no_grad():
        wanted = kan(torch.nan_to_num(before(torch.from_numpy(rows).double()))).numpy()
    np.testing.assert_allclose(run(model, rows), wanted, atol=1e-5)
