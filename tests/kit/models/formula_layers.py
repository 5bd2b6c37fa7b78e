"""Layers of known functions, for networks whose numbers are known on paper."""

import torch

from kan_model.network.layer import KANLayer
from kan_model.network.products import Products
from kan_model.network.symbolic_edge import SymbolicEdge


def formula_layer(
    inputs: int,
    outputs: int,
    edges: list[SymbolicEdge],
    bias: list[float] | None = None,
    products: Products | None = None,
) -> KANLayer:
    """A layer that has these edges and no others."""
    return KANLayer(
        torch.zeros(outputs, inputs, dtype=torch.float64),
        torch.zeros(outputs, inputs, 8, dtype=torch.float64),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * inputs, dtype=torch.float64),
        edge_mask=torch.zeros(outputs, inputs, dtype=torch.float64),
        symbolic=edges,
        bias=None if bias is None else torch.tensor(bias, dtype=torch.float64),
        products=products,
    )


def linear(output: int, input_: int, factor: float, shift: float = 0.0) -> SymbolicEdge:
    """factor·x + shift."""
    return SymbolicEdge(output, input_, "x", 1.0, 0.0, factor, shift)


def square(output: int, input_: int, factor: float) -> SymbolicEdge:
    """factor·x²."""
    return SymbolicEdge(output, input_, "x^2", 1.0, 0.0, factor, 0.0)
