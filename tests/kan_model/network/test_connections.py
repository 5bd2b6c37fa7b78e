"""Paths from inputs to outputs."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kan_model.network.connections import reachable_from_inputs, reaching_outputs


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 1.0])
def test_fed_and_read_nodes_are_those_that_walks_reach(share: float) -> None:
    """A node is reachable if the product of the layers' matrices counts a path from an input, or to an output."""
    random = np.random.default_rng(0)
    edges = [random.random((5, 3)) < share, random.random((4, 5)) < share, random.random((2, 4)) < share]
    counts = [layer.astype(int) for layer in edges]
    walks: list[NDArray[np.int64]] = [np.ones(3, int)]
    for layer in counts:
        walks.append(layer @ walks[-1])
    back: list[NDArray[np.int64]] = [np.ones(2, int)]
    for layer in reversed(counts):
        back.insert(0, back[0] @ layer)
    assert [level.tolist() for level in reachable_from_inputs(edges)] == [(level > 0).tolist() for level in walks]
    assert [level.tolist() for level in reaching_outputs(edges)] == [(level > 0).tolist() for level in back]
