"""The words of the notes on pairs."""

import torch

from kan_model import KAN, KANConfig, KANLayer, SymbolicEdge
from kan_model.network.products import Products
from training.additive.pairs.told import tell_pairs
from training.additive.terms import Pair, Side

SIDES = [Side(name, name, (place,), (), (), ()) for place, name in enumerate("abc")]
PAIRS = [Pair(SIDES[0], SIDES[1], ()), Pair(SIDES[0], SIDES[2], ())]


def _network() -> KAN:
    """Sums of three curves, and a product of the first two inputs."""
    first = KANLayer(
        torch.zeros(3, 3),
        torch.ones(3, 3, 4),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * 3),
        edge_mask=torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
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


def test_a_pair_without_a_node_is_not_told() -> None:
    """The network has the first of two pairs only."""
    assert tell_pairs(2, PAIRS, _network()) == "; 1 of at most 2 pairs, the strongest first: a × b"
    assert tell_pairs(1, PAIRS[:1], _network()) == "; 1 pair, the strongest first: a × b"


def test_no_pair() -> None:
    """Wanted, but not there; and not wanted."""
    curves = KAN(KANConfig((3, 1)))
    assert tell_pairs(3, PAIRS, curves) == "; 0 of at most 3 pairs, since none is stronger than noise"
    assert tell_pairs(0, [], curves) == ""
