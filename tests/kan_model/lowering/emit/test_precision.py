"""float16 and int8: smaller weights and larger errors, both in the report."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from kan_model import KAN, KANConfig
from kan_model.lowering import LoweringError, lower
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.emit.precision import Precision, emit_product
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.onnx_graph import GraphBuilder, check
from kan_model.onnx_runtime import run

Answers = Callable[[KAN, NDArray[np.float32]], NDArray[np.float64]]
LOSSY: tuple[tuple[Precision, int], ...] = (("float16", TensorProto.FLOAT16), ("int8", TensorProto.INT8))
# Columns that are looked up are no product with fixed weights.
WITH_PRODUCTS = [strategy for strategy in STRATEGIES if strategy.name != "pieces"]


@pytest.mark.parametrize("strategy", WITH_PRODUCTS, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize(("precision", "data_type"), LOSSY)
def test_weights_are_small_and_answers_are_near(
    precision: Precision,
    data_type: int,
    strategy: Strategy,
    make_kan: Callable[..., KAN],
    written_by: Callable[[KAN, Strategy], list[Strategy]],
    float64_answers: Answers,
    rows_of_all_kinds: Callable[[KAN], NDArray[np.float32]],
) -> None:
    """The largest weights of both layers are of the type; errors are above float32's, and bounded."""
    kan = make_kan(dtype=torch.float32, grid_size=6, degree=2)
    rows = rows_of_all_kinds(kan)
    wanted = float64_answers(kan, rows)
    scale = np.maximum(np.ptp(wanted[:50], axis=0), np.abs(wanted))
    errors = []
    for each in ("float32", precision):
        model = predicting_model(kan, None, None, written_by(kan, strategy), each)
        check(model)
        errors.append(np.max(np.abs(run(model, rows) - wanted) / scale))
    for layer in (0, 1):
        matrices = [
            t for t in model.graph.initializer if len(t.dims) == 2 and t.name.startswith(f"layer{layer}/weight")
        ]
        assert max(matrices, key=lambda tensor: int(np.prod(tensor.dims))).data_type == data_type
    assert errors[0] < 3e-5
    assert 3 * errors[0] < errors[1] < (0.05 if precision == "float16" else 2)


@pytest.mark.parametrize(("precision", "enough"), [("float16", 0.01), ("int8", 0.1)])
def test_a_tolerance_that_is_missed_is_refused(
    precision: Precision, enough: float, make_kan: Callable[..., KAN]
) -> None:
    """With the best error reached; one that is met is taken, and the report says what was lost."""
    kan = make_kan(dtype=torch.float32)
    with pytest.raises(LoweringError, match=r"layer \d: .*1e-05.* \d"):
        lower(kan, precision=precision, tolerance=1e-5, tune_for=())
    lowered = lower(kan, precision=precision, tolerance=enough, tune_for=())
    assert 1e-5 < lowered.report.max_relative_error <= enough
    kept, *others = lowered.report.layers[0].candidates
    assert "pieces" not in {candidate.strategy for candidate in (kept, *others)}
    assert kept.max_relative_error <= 3 * min(candidate.max_relative_error for candidate in (kept, *others))
    assert lower(kan, tune_for=()).report.max_relative_error < 1e-5


@pytest.mark.parametrize("strategy", WITH_PRODUCTS, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize(("precision", "_"), LOSSY)
def test_a_row_is_answered_the_same_in_any_company(
    precision: Precision,
    _: int,
    strategy: Strategy,
    make_kan: Callable[..., KAN],
    written_by: Callable[[KAN, Strategy], list[Strategy]],
) -> None:
    """A row's answer is the same alone, beside a row far outside and beside a gap: the service batches requests."""
    kan = make_kan(dtype=torch.float32, grid_size=6)
    model = predicting_model(kan, None, None, written_by(kan, strategy), precision)
    rows = np.array([[0.5, -0.25, 0.75], [1e6, -1e6, 1e6], [np.nan, 0, 0]], np.float32)
    together = run(model, rows)
    np.testing.assert_allclose(together[:1], run(model, rows[:1]), rtol=1e-5, atol=1e-6)
    assert np.isnan(together).all(axis=1).tolist() == [False, False, True]


def test_float16_rounds_both_factors() -> None:
    """The product of what float16 holds, summed with the addend in float32."""
    random = np.random.default_rng(0)
    weight, values = random.normal(size=(5, 2)), random.normal(size=(20, 5)).astype(np.float32)
    got = product(values, weight, "float16")
    wanted = values.astype(np.float16).astype(np.float64) @ weight.astype(np.float16).astype(np.float64) + [1, 1000]
    np.testing.assert_allclose(got, wanted, atol=5e-3)
    assert np.abs(got - (values @ weight + [1, 1000])).max() > 1e-5


def test_int8_takes_the_steps_that_it_is_told() -> None:
    """Values in 255 steps from low to high, zero and both ends exactly; the weights' own steps are an output's."""
    weight = np.array([[1.0, -1e-3], [0.5, 5e-4]])
    values = np.array([[0, 0], [2, 0], [-1, 0], [0, 2]], np.float32)
    got = product(values, weight, "int8", low=-1, high=2) - [1, 1000]
    np.testing.assert_allclose(got[0], 0, atol=1e-4)
    np.testing.assert_allclose(got, values @ weight, rtol=0.02, atol=1e-4)


def test_all_weights_zero_are_zero() -> None:
    """All weights zero: the step is not 0, and the product is 0."""
    values = np.ones((3, 5), np.float32)
    for precision in ("float16", "int8"):
        np.testing.assert_array_equal(product(values, np.zeros((5, 2)), precision), [[1, 1000]] * 3)


def test_what_float16_cannot_hold_is_refused() -> None:
    """Cubes of a domain of 0.01 weigh more than 65504: no warning, an infinite error."""
    kan = KAN(KANConfig((2, 1), domain=(0.0, 0.01)))
    powers = [strategy for strategy in STRATEGIES if strategy.name.startswith("segments")]
    with pytest.raises(LoweringError, match="off by inf"):
        lower(kan, precision="float16", tolerance=0.5, tune_for=(), strategies=powers[:1])
    assert lower(kan, precision="float16", tolerance=0.05, tune_for=(), strategies=(ClosedForm(),)).strategies


def product(
    values: NDArray[np.float32], weight: NDArray[np.float64], precision: Precision, low: float = 0.0, high: float = 1.0
) -> NDArray[np.float64]:
    """What a graph of one product says, [1, 1000] added; its weight is stored as told."""
    graph = GraphBuilder("x", values.shape[1])
    addend = graph.floats([1, 1000], "addend")
    result = emit_product(graph, "x", weight, addend, precision, low, high)
    model: onnx.ModelProto = graph.build({"y": (result, (2,))}, "product", {})
    check(model)
    stored = {tensor.data_type for tensor in model.graph.initializer if tuple(tensor.dims) == weight.shape}
    assert stored == {TensorProto.FLOAT16 if precision == "float16" else TensorProto.INT8}
    assert all(np.isfinite(numpy_helper.to_array(tensor)).all() for tensor in model.graph.initializer)
    return run(model, values).astype(np.float64)
