"""Node values take as few matrix products as possible, without large copies."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.special
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANConfig
from kan_model.lowering.emit.nodes import emit_nodes
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.lowering.strategies.pieces import Pieces
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.lowering.strategies.segments import Segments
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.lowering.strategies.truncated_powers import TruncatedPowers
from kan_model.network.layer import KANLayer
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.onnx_graph import GraphBuilder
from kan_model.onnx_runtime import run

Answers = Callable[[KAN, NDArray[np.float32]], NDArray[np.float64]]
ROWS = np.random.default_rng(0).uniform(-2, 2, (50, 3)).astype(np.float32)
DENSE: tuple[Strategy, ...] = (
    RadialPowers(),
    TruncatedPowers(),
    ClosedForm(),
    Segments(5),
    CoxDeBoor(),
)


def emitted(
    layer: KANLayer, strategy: Strategy, constant: NDArray[np.float64] | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """The operators that were written for a layer of 3 inputs, and its answers to ROWS."""
    graph = GraphBuilder("x", 3)
    constant = np.zeros(layer.outputs) if constant is None else constant
    model = graph.build({"y": (emit_nodes(graph, layer, "x", strategy, "float32", constant), (layer.outputs,))}, "", {})
    return [node.op_type for node in model.graph.node], run(model, ROWS)


@pytest.mark.parametrize("strategy", DENSE, ids=lambda strategy: strategy.name)
def test_few_products_and_no_sum(strategy: Strategy, make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """Splines, base branch, perhaps x itself: each product takes the one before as its addend, nothing is summed."""
    kan = make_kan((3, 4))
    operators, answers = emitted(kan.layers[0], strategy)
    assert operators.count("Gemm") in (2, 3)
    assert operators[-1] == "Gemm"
    assert "MatMul" not in operators
    np.testing.assert_allclose(answers, float64_answers(kan, ROWS), atol=1e-4)


def test_the_last_resort_is_exact_where_silu_is_almost_0() -> None:
    """A steep layer behind such a node needs its digits: silu(-20) is -4e-8, and the sigmoid alone is off by 1e-7."""
    (layer,) = KAN(KANConfig((1, 1), noise=0)).layers
    with torch.no_grad():
        layer.base_weight.fill_(1)
    x = np.linspace(-40, -8, 500)[:, None]
    graph = GraphBuilder("x", 1)
    model = graph.build({"y": (emit_nodes(graph, layer, "x", CoxDeBoor(), "float32", np.zeros(1)), (1,))}, "", {})
    rows = x.astype(np.float32)
    exact = rows.astype(np.float64) * scipy.special.expit(rows.astype(np.float64))
    np.testing.assert_allclose(run(model, rows), exact, rtol=1e-5)


@pytest.mark.parametrize("strategy", [*DENSE, Pieces()], ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("symbolic", [False, True])
def test_a_constant_is_added(
    strategy: Strategy, symbolic: bool, make_kan: Callable[..., KAN], float64_answers: Answers
) -> None:
    """Once, whether it meets symbolic edges, splines with a constant of their own, or neither."""
    (layer,) = make_kan((3, 4)).layers
    layer = layer.with_symbolic([SymbolicEdge(1, 0, "sin", 1, 0, 1, 0)]) if symbolic else layer
    constant = np.array([1, -2, 0, 100.0])
    _, answers = emitted(layer, strategy, constant)
    np.testing.assert_allclose(answers, float64_answers(KAN.of_layers([layer]), ROWS) + constant, atol=1e-4)


@pytest.mark.parametrize("strategy", [*DENSE, Pieces()], ids=lambda strategy: strategy.name)
def test_a_layer_of_constants(
    strategy: Strategy, make_kan: Callable[..., KAN], with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """No edge at all: the constant, once for each row."""
    layer = with_mask(make_kan((3, 2)).layers[0], np.zeros((2, 3), bool))
    operators, answers = emitted(layer, strategy, np.array([3.0, -1]))
    assert operators == ["Gemm"]
    np.testing.assert_array_equal(answers, np.tile(np.array([3, -1], np.float32), (50, 1)))


@pytest.mark.parametrize("strategy", [*DENSE, Pieces()], ids=lambda strategy: strategy.name)
def test_splines_are_computed_for_the_inputs_that_have_some(
    strategy: Strategy,
    make_kan: Callable[..., KAN],
    with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer],
    float64_answers: Answers,
) -> None:
    """Input 1 has a symbolic edge only: it is gathered for that, the other two for splines."""
    layer = with_mask(make_kan((3, 2)).layers[0], np.array([[1, 0, 1], [0, 0, 1]], bool))
    kan = KAN.of_layers([layer.with_symbolic([SymbolicEdge(0, 1, "exp", 1, 0, 1, 0)])])
    graph = GraphBuilder("x", 3)
    value = emit_nodes(graph, kan.layers[0], "x", strategy, "float32", np.zeros(2))
    model = graph.build({"y": (value, (2,))}, "", {})
    indices = {tensor.name: tensor for tensor in model.graph.initializer}
    read = [node.input[1] for node in model.graph.node if node.op_type == "Gather" and node.input[0] == "x"]
    assert sorted(tuple(np.frombuffer(indices[name].raw_data, np.int64)) for name in read) == [(0, 2), (1,)]
    np.testing.assert_allclose(run(model, ROWS), float64_answers(kan, ROWS), atol=1e-4)
