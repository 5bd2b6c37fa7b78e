"""Redundant constants of edges become plain, and idle edges go; the answers stay."""

import pytest
import torch

from kan_model import FUNCTIONS, KAN, KANConfig
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.symbolic.redundant import remove_idle, remove_redundant


def one_edge(edge: SymbolicEdge) -> KAN:
    """The network of this edge."""
    kan = KAN(KANConfig((1, 1)), seed=0, dtype=torch.float64)
    return kan.with_layers([kan.layers[0].with_symbolic([edge])])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("factor", [0.37, -0.61])
def test_the_answers_stay(name: str, factor: float) -> None:
    """For each function of the library, by the function itself in float64; no number becomes less plain."""
    function = FUNCTIONS[name].torch
    low = 0.1 if factor > 0 else -0.9
    x = torch.linspace(low, low + 0.8, 200, dtype=torch.float64)[:, None]
    given = SymbolicEdge(0, 0, name, factor, 0.02, 1.7, -0.3)
    truth = given.c * function(given.a * x + given.b) + given.d
    kan = remove_redundant(one_edge(given), x)
    with torch.no_grad():
        torch.testing.assert_close(kan(x), truth, rtol=1e-10, atol=1e-10, equal_nan=True)
    assert one_edge(given).layers[0].symbolic == (given,)


@pytest.mark.parametrize(("name", "plain"), [("x", (1.0, 0.0)), ("exp", (-0.61, 0.0)), ("x^2", (1.0, -0.02 / 0.61))])
def test_redundant_constants_are_plain(name: str, plain: tuple[float, float]) -> None:
    """1.7·(0.02 − 0.61·x) is a line, whose slope and shift stand outside; of e^(b − 0.61·x) the b does."""
    x = torch.linspace(-1, 2, 50, dtype=torch.float64)[:, None]
    kan = remove_redundant(one_edge(SymbolicEdge(0, 0, name, -0.61, 0.02, 1.7, 0.0)), x)
    ((edge,),) = (layer.symbolic for layer in kan.layers)
    assert (edge.a, edge.b) == pytest.approx(plain, abs=1e-12)


@pytest.mark.parametrize("rows", [[[0.5]], [[0.5], [0.5]], [[0.5], [float("nan")]], [[-3.0], [-2.0]]])
def test_an_edge_of_too_few_answers_stays(rows: list[list[float]]) -> None:
    """One row, equal rows, a row without a number, and rows outside of a function's domain tell nothing."""
    given = SymbolicEdge(0, 0, "log", 0.5, 0.1, 1.7, 0.0)
    kan = remove_redundant(one_edge(given), torch.tensor(rows, dtype=torch.float64))
    assert [layer.symbolic for layer in kan.layers] == [(given,)]


def test_an_idle_edge_leaves_its_shift() -> None:
    """0·sin(x) + 0.25 beside 2·x is the bias 0.25."""
    kan = KAN(KANConfig((2, 1)), seed=0, dtype=torch.float64)
    edges = [SymbolicEdge(0, 0, "x", 1.0, 0.0, 2.0, 0.0), SymbolicEdge(0, 1, "sin", 1.0, 0.0, 0.0, 0.25)]
    smaller = remove_idle(kan.with_layers([kan.layers[0].with_symbolic(edges)]))
    x = torch.tensor([[1.0, 5.0], [-2.0, 1.0]], dtype=torch.float64)
    with torch.no_grad():
        assert smaller(x)[:, 0].tolist() == [2.25, -3.75]
    assert [layer.symbolic_functions for layer in smaller.layers] == [("x",)]
