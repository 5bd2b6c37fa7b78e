"""Copies, bounds and powers of inputs."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from kan_model.lowering.emit.silu import emit_exact_silu, emit_silu
from kan_model.lowering.strategies.elementwise import clip, power, repeat
from kan_model.onnx_graph import GraphBuilder
from kan_model.onnx_runtime import run

ROWS = np.array([[-3, -3], [-1.5, 0.5], [0, 0], [2, 1], [3, 3]], np.float32)


def answers(graph: GraphBuilder, value: str, columns: int) -> NDArray[np.float32]:
    """The value for ROWS."""
    return run(graph.build({"y": (value, (columns,))}, "elementwise", {}), ROWS)


@pytest.mark.parametrize("low", [(-2, -2), (-2, -1)])
@pytest.mark.parametrize("high", [(1, 1), (1, 2)])
def test_bounds_are_those_of_their_column(low: tuple[int, int], high: tuple[int, int]) -> None:
    """One operator where all columns have the same, two where either bound is not."""
    graph = GraphBuilder("x", 2)
    value = clip(graph, "x", np.array(low, np.float64), np.array(high, np.float64))
    np.testing.assert_array_equal(answers(graph, value, 2), np.clip(ROWS, low, high))
    nodes = graph.build({}, "nodes", {}).graph.node
    shared = low[0] == low[1] and high[0] == high[1]
    assert [node.op_type for node in nodes] == (["Clip"] if shared else ["Max", "Min"])


@pytest.mark.parametrize("exponent", range(1, 8))
def test_powers_keep_their_sign_and_take_few_products(exponent: int) -> None:
    """By squaring: three multiplications for the fifth power."""
    graph = GraphBuilder("x", 2)
    value = power(graph, "x", exponent)
    products = graph.build({}, "nodes", {}).graph.node
    assert len(products) == (0, 1, 2, 2, 3, 3, 4)[exponent - 1]
    value = value if exponent > 1 else graph.op("Neg", [graph.op("Neg", ["x"], "minus")], "plus")
    np.testing.assert_array_equal(answers(graph, value, 2), ROWS**exponent)


def test_repeated_inputs_stand_innermost() -> None:
    """Inputs 0, 1, 0, 1, …; once is no copy."""
    graph = GraphBuilder("x", 2)
    assert repeat(graph, "x", 1) == "x"
    np.testing.assert_array_equal(answers(graph, repeat(graph, "x", 3), 6), np.tile(ROWS, 3))


def test_silu() -> None:
    """The input over 1 + exp(−x)."""
    graph = GraphBuilder("x", 2)
    np.testing.assert_allclose(answers(graph, emit_silu(graph, "x"), 2), ROWS / (1 + np.exp(-ROWS)), atol=1e-6)


def test_exact_silu_is_exact_where_it_is_next_to_nothing() -> None:
    """SciPy's in float64 to a millionth of its own size, at -16 too; none of it overflows to NaN far outside."""
    graph, rows = GraphBuilder("x", 1), np.linspace(-80, 80, 1601, dtype=np.float32)[:, None]
    model = graph.build({"y": (emit_exact_silu(graph, "x"), (1,))}, "silu", {})
    np.testing.assert_allclose(run(model, rows), rows * expit(rows.astype(np.float64)), rtol=1e-6)
    far = np.array([[-1e6], [-1e3], [1e6], [np.nan]], np.float32)
    np.testing.assert_array_equal(run(model, far), [[0], [0], [1e6], [np.nan]])
