"""The values of several symbolic edges against NumPy."""

import numpy as np
import torch

from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.symbolic_values import affine_tensor, group_by_function, symbolic_values

EDGES = (
    SymbolicEdge(1, 2, "sin", 2.0, 0.3, 0.5, -1.0),
    SymbolicEdge(0, 0, "gaussian", 1.5, -0.2, -0.7, 0.4),
    SymbolicEdge(0, 2, "sin", -0.9, 0.0, 1.2, 0.1),
)


def test_edges_with_the_same_function_become_neighbours() -> None:
    """Sorted by the function's name; edges with the same function stay in their order."""
    groups = group_by_function(EDGES, torch.device("cpu"))
    assert list(groups.counts.items()) == [("gaussian", 1), ("sin", 2)]
    assert groups.order.tolist() == [1, 0, 2]
    assert groups.outputs.tolist() == [0, 1, 0]
    assert groups.inputs.tolist() == [0, 2, 2]


def test_each_edge_is_its_formula() -> None:
    """c·f(a·x + b) + d, each edge with its own function and numbers."""
    groups = group_by_function(EDGES, torch.device("cpu"))
    affine = affine_tensor(EDGES, torch.zeros(0, dtype=torch.float64))[groups.order]
    x = np.random.default_rng(0).normal(size=(50, 3))
    values = symbolic_values(torch.from_numpy(x), affine, groups.counts)
    expected = [
        -0.7 * np.exp(-((1.5 * x[:, 0] - 0.2) ** 2)) + 0.4,
        0.5 * np.sin(2.0 * x[:, 1] + 0.3) - 1.0,
        1.2 * np.sin(-0.9 * x[:, 2]) + 0.1,
    ]
    np.testing.assert_allclose(values, np.stack(expected, axis=1), atol=1e-14)
