"""Paths from inputs to outputs, and blocks of a layer."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from kan_model import KAN
from kan_model.network.connections import connected_blocks, edges_from_inputs, edges_to_outputs
from kan_model.network.layer import KANLayer
from kan_model.network.products import Products
from kan_model.network.symbolic_edge import SymbolicEdge


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 1.0])
def test_edges_are_reachable_if_a_walk_goes_through_them(share: float) -> None:
    """An edge is found if the product of the layers' matrices counts a walk to its input, or from its output."""
    random = np.random.default_rng(0)
    edges = [random.random((5, 3)) < share, random.random((4, 5)) < share, random.random((2, 4)) < share]
    walks: list[NDArray[np.int64]] = [np.ones(3, int)]
    for layer in edges:
        walks.append(layer.astype(int) @ walks[-1])
    back: list[NDArray[np.int64]] = [np.ones(2, int)]
    for layer in reversed(edges):
        back.insert(0, back[0] @ layer.astype(int))
    layers = [_layer(each) for each in edges]
    found = zip(edges, edges_from_inputs(edges, layers), edges_to_outputs(edges, layers), strict=True)
    for index, (layer, from_inputs, to_outputs) in enumerate(found):
        assert from_inputs.tolist() == (layer & (walks[index] > 0)).tolist()
        assert to_outputs.tolist() == (layer & (back[index + 1] > 0)[:, None]).tolist()


def _layer(edges: NDArray[np.bool_], products: Products | None = None) -> KANLayer:
    mask = torch.from_numpy(edges).double()
    domain = torch.tensor([[-1.0, 1.0]]).double().expand(edges.shape[1], 2)
    coefficients = torch.ones(*edges.shape, 4).double()
    return KANLayer(
        mask, coefficients, degree=3, outside="clamp", domain=domain, edge_mask=mask.clone(), products=products
    )


def test_a_walk_goes_through_any_factor_of_a_product() -> None:
    """A node is fed if one of its sums is; all its sums are read if it is."""
    # Sums 0 and 1 make node 0, sum 2 is node 1. Input 0 feeds sum 0 only; nobody reads node 1.
    first = np.array([[True, False], [False, False], [False, True]])
    second = np.array([[True, False]])
    layers = [_layer(first, Products(((0, 1), (2,)))), _layer(second)]
    assert edges_from_inputs([first, second], layers)[1].tolist() == [[True, False]]
    assert edges_to_outputs([first, second], layers)[0].tolist() == [[True, False], [False, False], [False, False]]


@pytest.mark.parametrize("share", [0.0, 0.08, 0.15, 0.3, 1.0])
def test_blocks_are_connected_components(share: float) -> None:
    """SciPy's components of the layer's graph, those without an edge left out, in the order of their first input."""
    random = np.random.default_rng(3)
    edges = random.random((9, 12)) < share
    mask = torch.from_numpy(edges).double()
    layer = KANLayer(
        torch.ones(9, 12).double(),
        torch.ones(9, 12, 4).double(),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]]).double().expand(12, 2),
        edge_mask=mask,
    )
    graph = np.block([[np.zeros((12, 12)), edges.T], [edges, np.zeros((9, 9))]])
    count, label = connected_components(csr_array(graph), directed=False)
    parts = [[np.flatnonzero(nodes == each).tolist() for nodes in (label[:12], label[12:])] for each in range(count)]
    wanted = sorted((part for part in parts if all(part)), key=lambda part: part[0][0])
    assert [[inputs.tolist(), outputs.tolist()] for inputs, outputs in connected_blocks(layer)] == wanted


def test_a_symbolic_edge_connects(make_kan: Callable[..., KAN]) -> None:
    """A formula is an edge as a spline is."""
    layer = make_kan((2, 2)).layers[0].changed(edge_mask=torch.eye(2).double())
    assert len(connected_blocks(layer)) == 2
    assert len(connected_blocks(layer.with_symbolic([SymbolicEdge(0, 1, "sin", 1.0, 0.0, 1.0, 0.0)]))) == 1
