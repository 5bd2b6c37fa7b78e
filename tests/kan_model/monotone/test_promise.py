"""What a network promises, read from its edges."""

import numpy as np
import torch

from kan_model import KAN, KANConfig, SymbolicEdge, promised_directions, with_monotone_inputs
from kan_model.monotone.promise import UNKNOWN, keeps_direction


def network(*inputs: int) -> KAN:
    """Of [3, 4, 2], of two classes."""
    return with_monotone_inputs(KAN(KANConfig((3, 4, 2))), inputs, (-1, 1))


def test_directions_are_read_from_the_edges() -> None:
    """One that rises, one that falls, one that is free, for both classes."""
    assert promised_directions(network(1, -1, 0)).tolist() == [[-1, 1, UNKNOWN], [1, -1, UNKNOWN]]
    assert (promised_directions(KAN(KANConfig((3, 4, 2)))) == UNKNOWN).all()


def test_an_input_without_a_path_moves_nothing() -> None:
    """It keeps either direction."""
    kan = network(1, 0, 0)
    kan.layers[0].edge_mask[:, 0] = 0
    assert promised_directions(kan)[:, 0].tolist() == [0, 0]
    assert all(keeps_direction(kan, 0, way * np.array([1, -1])) for way in (1, -1))


def test_a_promise_is_kept_in_one_direction_only() -> None:
    """Of all outputs at once."""
    kan = network(1, 0, 0)
    assert keeps_direction(kan, 0, np.array([-1, 1]))
    assert not keeps_direction(kan, 0, np.array([1, -1]))
    assert not keeps_direction(kan, 0, np.array([1, 1]))
    assert not keeps_direction(kan, 1, np.array([-1, 1]))


def test_one_free_edge_or_formula_on_a_path_breaks_it() -> None:
    """So do two paths that contradict each other."""
    kan = network(1, 0, 0)
    first = kan.layers[0]
    signs = first.signs.clone()
    signs[0, 0] = 0
    free = kan.with_layers([first.changed(directions=signs), kan.layers[1]])
    formula = free.with_layers([free.layers[0].with_symbolic([SymbolicEdge(0, 0, "x", 1, 0, 1, 0)]), kan.layers[1]])
    signs = first.signs.clone()
    signs[0, 0] = -1
    torn = kan.with_layers([first.changed(directions=signs), kan.layers[1]])
    for each in (free, formula, torn):
        assert promised_directions(each)[:, 0].tolist() == [UNKNOWN, UNKNOWN]


def test_a_free_node_that_a_monotone_input_reaches_breaks_it() -> None:
    """The mask is part of the promise."""
    kan = network(1, 0, 0)
    layer = kan.layers[0]
    open_ = kan.with_layers([layer.changed(edge_mask=torch.ones_like(layer.edge_mask)), kan.layers[1]])
    assert promised_directions(open_)[:, 0].tolist() == [UNKNOWN, UNKNOWN]
