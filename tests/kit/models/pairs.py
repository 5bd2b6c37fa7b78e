"""A network of an additive model with one pair."""

import torch

from kan_model import KAN, KANLayer, SymbolicEdge
from kan_model.network.products import Products


def network_with_pair(second: list[float]) -> KAN:
    """Three inputs: a sum of their curves, and the product of the first one with those of the mask `second`."""
    first = KANLayer(
        torch.zeros(3, 3),
        torch.ones(3, 3, 4),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * 3),
        edge_mask=torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], second]),
        products=Products(((0,), (1, 2))),
    )
    behind = KANLayer(
        torch.zeros(1, 2),
        torch.zeros(1, 2, 4),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * 2),
        symbolic=[SymbolicEdge(0, node, "x", 1.0, 0.0, 1.0, 0.0) for node in range(2)],
    )
    return KAN.of_layers([first, behind])
