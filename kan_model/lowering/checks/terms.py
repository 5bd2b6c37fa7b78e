"""The terms of a sum: its edges and its bias."""

from torch import Tensor

from kan_model.network.layer import KANLayer


def sum_edges(layer: KANLayer, edges: Tensor) -> Tensor:
    """Sums ``[rows, sums]`` for edges ``[rows, sums, inputs]``."""
    return edges.sum(dim=2) if layer.bias is None else edges.sum(dim=2) + layer.bias


def size_of_terms(layer: KANLayer, edges: Tensor) -> Tensor:
    """The sum ``[rows, sums]`` of the absolute values of edges and bias: a factor may be nothing but its bias."""
    size = edges.abs().sum(dim=2)
    return size if layer.bias is None else size + layer.bias.abs()
