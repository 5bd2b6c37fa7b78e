"""The values of a layer's symbolic edges, all at once: each function is computed once for all the edges that have it.

Example: of the edges sin, gaussian and sin, in this order, `group_by_function` gives the order 1, 0, 2 and the counts
{"gaussian": 1, "sin": 2}.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kan_model.network.functions import FUNCTIONS
from kan_model.network.symbolic_edge import SymbolicEdge


class Groups(NamedTuple):
    """Edges in an order in which those with the same function are neighbours.

    Attributes:
        counts: Number of edges by function, in this order.
        order: ``[edges]``, the index of each edge in the order before.
        outputs: ``[edges]``, the node that each edge feeds.
        inputs: ``[edges]``, the node that each edge reads.
    """

    counts: dict[str, int]
    order: Tensor
    outputs: Tensor
    inputs: Tensor


def group_by_function(edges: Sequence[SymbolicEdge], device: torch.device) -> Groups:
    """Sort one or more edges by the name of their function."""
    by_function = sorted(range(len(edges)), key=lambda index: edges[index].function)
    outputs = [edges[index].output for index in by_function]
    inputs = [edges[index].input for index in by_function]
    counts = dict(sorted(Counter(edge.function for edge in edges).items()))
    return Groups(counts, *(torch.tensor(indices, device=device) for indices in (by_function, outputs, inputs)))


def symbolic_values(x: Tensor, affine: Tensor, counts: Mapping[str, int]) -> Tensor:
    """c·f(a·x + b) + d of each edge.

    Args:
        x: ``[rows, edges]``, the value of the node that each edge reads.
        affine: ``[edges, 4]``: a, b, c, d.
        counts: Number of edges by function; edges are in this order.

    Returns:
        ``[rows, edges]``.
    """
    a, b, c, d = affine.T
    parts = (a * x + b).split(list(counts.values()), dim=1)
    values = [FUNCTIONS[name].torch(part) for name, part in zip(counts, parts, strict=True)]
    result: Tensor = c * torch.cat(values, dim=1) + d
    return result


def affine_tensor(edges: Sequence[SymbolicEdge], like: Tensor) -> Tensor:
    """a, b, c, d of each edge, ``[edges, 4]``, in the type of ``like`` and on its device.

    Raises:
        ValueError: a number is too large for the type.
    """
    affine = torch.tensor([edge.affine for edge in edges], dtype=torch.float64).to(like)
    if not torch.isfinite(affine).all():
        edge = edges[int((~torch.isfinite(affine)).any(dim=1).nonzero()[0])]
        raise ValueError(f"{edge} has a number that {affine.dtype} cannot hold; wanted smaller ones")
    return affine


def check_places(edges: Sequence[SymbolicEdge], outputs: int, inputs: int) -> None:
    """Refuse edges that a layer of so many nodes cannot have.

    Raises:
        ValueError: an edge of a node that is not there, or two edges between the same nodes.
    """
    for (output, input_), count in Counter((edge.output, edge.input) for edge in edges).items():
        if not (0 <= output < outputs and 0 <= input_ < inputs):
            raise ValueError(
                f"symbolic edge from input {input_} to output {output}; "
                f"wanted inputs 0 to {inputs - 1}, outputs 0 to {outputs - 1}"
            )
        if count > 1:
            raise ValueError(f"{count} symbolic edges from input {input_} to output {output}; wanted one at most")
