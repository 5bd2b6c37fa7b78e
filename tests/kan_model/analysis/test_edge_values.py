"""Edge outputs on rows, and rows that are refused."""

import re
from collections.abc import Callable

import pytest
import torch

from kan_model import KAN
from kan_model.analysis.edge_values import edge_values, first_flaw
from kan_model.network.symbolic_edge import SymbolicEdge


def test_edges_are_those_of_each_layer_behind_the_ones_before(make_kan: Callable[..., KAN]) -> None:
    """Biases are passed on; the last layer's edges and bias add up to the answer."""
    kan = make_kan((3, 4, 2))
    bias = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    kan = KAN.of_layers([kan.layers[0].changed(bias=bias), kan.layers[1]])
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = edge_values(kan, x)
    torch.testing.assert_close(first, kan.layers[0].edge_outputs(x), rtol=0, atol=0)
    torch.testing.assert_close(second.sum(dim=2), kan(x), rtol=1e-12, atol=1e-12)


def test_an_edge_that_is_not_finite_is_named(make_kan: Callable[..., KAN]) -> None:
    """Layer, input, output, row and value."""
    kan = make_kan((3, 4, 2))
    log = kan.layers[1].with_symbolic([SymbolicEdge(1, 2, "log", 0.0, -1.0, 1.0, 0.0)])
    with pytest.raises(ValueError, match=r"layer 1: .*input 2 .*nan"):
        list(edge_values(KAN.of_layers([kan.layers[0], log]), torch.zeros(2, 3, dtype=torch.float64)))
    large = kan.layers[0].with_symbolic([SymbolicEdge(0, i, "x", 0.0, 1.0, 1e308, 0.0) for i in range(3)])
    with pytest.raises(ValueError, match=r"layer 0: .*too large"):
        list(edge_values(KAN.of_layers([large]), torch.zeros(2, 3, dtype=torch.float64)))


def test_the_first_flaw_is_found_in_any_row(make_kan: Callable[..., KAN]) -> None:
    """The first flaw is the message of edge_values, from any chunk of rows; None if every edge is finite."""
    kan = make_kan((3, 2)).layers[0].with_symbolic([SymbolicEdge(1, 2, "log", 1, 0, 1, 0)])
    rows = torch.ones(3000, 3, dtype=torch.float64)
    assert first_flaw(KAN.of_layers([kan]), rows) is None
    rows[2500, 2] = -1
    flaw = first_flaw(KAN.of_layers([kan]), rows)
    assert flaw is not None
    assert re.match("layer 0: .*input 2 to output 1 .*nan", flaw)
