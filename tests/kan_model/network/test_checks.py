"""Rows, layers and edges that a network lacks."""

import math
from collections.abc import Callable

import pytest
import torch

from kan_model import KAN
from kan_model.network.checks import check_edge, check_rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.zeros(5, 2), r"\(5, 2\)"),
        (torch.zeros(3), r"rows have shape \(3,\)"),
        (torch.zeros(0, 3), r"rows have shape \(0, 3\)"),
        (torch.zeros(1, 3), r"rows have shape \(1, 3\)"),
        (
            torch.tensor([[0, 0, 0], [0, math.nan, 0], [math.inf, 0, 0]]),
            "2 of 3 rows .*row 1",
        ),
    ],
)
def test_rows_that_the_network_cannot_read_are_refused(
    make_kan: Callable[..., KAN], rows: torch.Tensor, message: str
) -> None:
    """The message says what came."""
    with pytest.raises(ValueError, match=message):
        check_rows(make_kan(), rows, at_least=2)


@pytest.mark.parametrize(
    ("layer", "output", "input_"), [(0, 0, 1), (0, 4, 0), (0, 0, -1), (1, 2, 0), (2, 0, 0), (-1, 0, 0)]
)
def test_edges_that_the_network_lacks_are_refused(
    make_kan: Callable[..., KAN], layer: int, output: int, input_: int
) -> None:
    """An edge is there if its layer, its nodes and the edge itself are: a pruned one is not."""
    first, second = make_kan((3, 4, 2)).layers
    mask = torch.ones_like(first.edge_mask)
    mask[0, 1] = 0
    kan = KAN.of_layers([first.changed(edge_mask=mask), second])
    assert check_edge(kan, 0, 0, 0) is kan.layers[0]
    with pytest.raises(ValueError, match=r"wanted 0 to 1|has no edge from"):
        check_edge(kan, layer, output, input_)
