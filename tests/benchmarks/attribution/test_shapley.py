"""The Shapley values that contributions are compared with are Shapley values."""

import numpy as np
import torch

from benchmarks.attribution.shapley import exact
from kan_model import KAN, KANConfig, SymbolicEdge


def product() -> KAN:
    """x₁·x₂ + x₃, as ((x₁ + x₂)² − (x₁ − x₂)²) / 4 + x₃."""
    layers = KAN(KANConfig((3, 3, 1)), dtype=torch.float64).layers
    for layer in layers:
        layer.edge_mask[:] = 0
    signs = ((0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, -1), (2, 2, 1))
    first = layers[0].with_symbolic([SymbolicEdge(o, i, "x", 1, 0, sign, 0) for o, i, sign in signs])
    second = [
        SymbolicEdge(0, 0, "x^2", 1, 0, 0.25, 0),
        SymbolicEdge(0, 1, "x^2", 1, 0, -0.25, 0),
        SymbolicEdge(0, 2, "x", 1, 0, 1, 0),
    ]
    return KAN.of_layers([first, layers[1].with_symbolic(second)])


def test_a_product_is_shared_equally() -> None:
    """Of x₁·x₂ + x₃ at (2, 3, 5) against 0: each factor gets half of 6, and x₃ its 5."""
    found = exact(product(), torch.tensor([2.0, 3.0, 5.0]), torch.zeros(3))
    np.testing.assert_allclose(found, [[3, 3, 5]], atol=1e-12)


def test_values_add_up() -> None:
    """Their sum is the answer minus the baseline, for a random network of two outputs."""
    kan = KAN(KANConfig((4, 3, 2)), dtype=torch.float64)
    row, reference = torch.linspace(-1, 1, 4), torch.full((4,), 0.3)
    with torch.no_grad():
        difference = (kan(row[None].double()) - kan(reference[None].double()))[0].numpy()
    np.testing.assert_allclose(exact(kan, row, reference).sum(axis=1), difference, atol=1e-12)
