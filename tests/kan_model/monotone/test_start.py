"""A new network made monotone: which nodes and edges are what."""

import pytest
import torch

from kan_model import KAN, KANConfig, parameter_count, with_monotone_inputs


def kan(*width: int | tuple[int, int], **keys: object) -> KAN:
    """A new network of these levels."""
    return KAN(KANConfig(width, **keys))  # type: ignore[arg-type]


def test_half_of_the_hidden_nodes_are_monotone() -> None:
    """All inputs feed the monotone nodes, free ones alone the free nodes; edges from monotone nodes rise."""
    first, second = with_monotone_inputs(kan(3, 5, 1), (1, 0, -1), (1,)).layers
    assert first.signs.tolist() == [[1, 0, -1]] * 3 + [[0, 0, 0]] * 2
    assert first.edge_mask.tolist() == [[1, 1, 1]] * 3 + [[0, 1, 0]] * 2
    assert second.signs.tolist() == [[1, 1, 1, 0, 0]]
    assert second.edge_mask.all()


def test_no_node_is_free_without_a_free_input() -> None:
    """A free node would be fed by nothing."""
    first, second = with_monotone_inputs(kan(2, 5, 1), (1, -1), (1,)).layers
    assert (first.signs != 0).all()
    assert (second.signs == 1).all()


def test_of_two_classes_the_first_falls() -> None:
    """The edges to its score have the other direction."""
    last = with_monotone_inputs(kan(2, 2, 2), (1, 0), (-1, 1)).layers[1]
    assert last.signs.tolist() == [[-1, 0], [1, 0]]


def test_a_network_without_monotone_inputs_stays() -> None:
    """No direction, no mask, the same numbers."""
    before = kan(3, 4, 1)
    after = with_monotone_inputs(before, (0, 0, 0), (1,))
    assert all(layer.directions is None for layer in after.layers)
    x = torch.rand(10, 3)
    assert torch.equal(before(x), after(x))
    assert parameter_count(before) == parameter_count(after)


def test_edges_begin_around_zero() -> None:
    """So that sums of rising edges begin inside the domain of the splines that read them."""
    new = with_monotone_inputs(kan(8, 32, 32, 1), (1,) * 8, (1,))
    x = torch.rand(500, 8) * 2 - 1
    for layer in new.layers:
        x = layer(x)
        assert x.mean(dim=0).abs().max() < 2
        assert x.std(dim=0).max() < 5


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [((1, 0), (1,), "inputs are .* wanted 3"), ((1, 0, 2), (1,), "wanted 3"), ((1, 0, 0), (0,), "outputs")],
)
def test_directions_that_are_none_are_refused(inputs: tuple[int, ...], outputs: tuple[int, ...], message: str) -> None:
    """The message says which."""
    with pytest.raises(ValueError, match=message):
        with_monotone_inputs(kan(3, 4, 1), inputs, outputs)


def test_networks_that_could_turn_are_refused() -> None:
    """Products and the policy decay."""
    with pytest.raises(ValueError, match="multiply"):
        with_monotone_inputs(kan(3, (2, 1), 1), (1, 0, 0), (1,))
    with pytest.raises(ValueError, match='"decay"'):
        with_monotone_inputs(kan(3, 4, 1, outside="decay"), (1, 0, 0), (1,))
