"""The outputs of a network's edges on rows of data, layer by layer."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from kan_model.moved import old_attribute
from kan_model.network.network import KAN

# Rows per chunk: the edges of one chunk are in memory at once.
_ROWS = 1024


def edge_values(kan: KAN, x: Tensor) -> Iterator[Tensor]:
    """Each layer's edge outputs ``[rows, sums, inputs]``, first layer first; zero for pruned edges.

    Args:
        kan: The network.
        x: ``[rows, inputs]``, of the network's type.

    Raises:
        ValueError: an edge gives NaN or an infinity, for example log of a negative number.
    """
    for index, (edges, sums) in enumerate(edges_and_sums(kan, x)):
        # The sums are checked instead of the edges: there are fewer, and a sum is not finite if an edge is not.
        if not torch.isfinite(sums).all():
            raise ValueError(_flaw(edges, index))
        yield edges


def edges_and_sums(kan: KAN, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each layer's edge outputs, and their sums, ``[rows, sums]``.

    Nothing is checked, so a GPU need not be waited for.
    """
    for layer in kan.layers:
        edges = layer.edge_outputs(x)
        sums = edges.sum(dim=2)
        yield edges, sums
        x = layer.nodes_of(sums if layer.bias is None else sums + layer.bias)


def first_flaw(kan: KAN, rows: Tensor) -> str | None:
    """The message about the first edge that is not finite on the rows; None if all are finite.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``, of the network's type.
    """
    with torch.no_grad():
        try:
            for part in torch.split(rows, _ROWS):
                deque(edge_values(kan, part), maxlen=0)
        except ValueError as flaw:
            return str(flaw)
    return None


def _flaw(edges: Tensor, index: int) -> str:
    places = (~torch.isfinite(edges)).nonzero().tolist()
    if not places:
        return f"layer {index}: the sum of a node's edges is too large for {edges.dtype}; wanted finite numbers"
    row, output, input_ = places[0]
    return (
        f"layer {index}: the edge from input {input_} to output {output} answers {edges[row, output, input_].item()} "
        f"to row {row}; wanted finite numbers"
    )


def __getattr__(name: str) -> Any:
    return old_attribute(__name__, name, "kan_model.network.checks")
