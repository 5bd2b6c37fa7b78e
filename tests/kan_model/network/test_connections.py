"""Paths from inputs to outputs."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kan_model.network.connections import edges_from_inputs, edges_to_outputs


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
    found = zip(edges, edges_from_inputs(edges), edges_to_outputs(edges), strict=True)
    for index, (layer, from_inputs, to_outputs) in enumerate(found):
        assert from_inputs.tolist() == (layer & (walks[index] > 0)).tolist()
        assert to_outputs.tolist() == (layer & (back[index + 1] > 0)[:, None]).tolist()
