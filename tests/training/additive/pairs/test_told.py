"""The words of the notes on pairs."""

from kan_model import KAN, KANConfig
from tests.kit.models.pairs import network_with_pair
from training.additive.pairs.told import tell_pairs
from training.additive.terms import Pair, Side

SIDES = [Side(name, name, (place,), (), (), ()) for place, name in enumerate("abc")]
PAIRS = [Pair(SIDES[0], SIDES[1], ()), Pair(SIDES[0], SIDES[2], ())]


def test_a_pair_without_a_node_is_not_told() -> None:
    """The network has the first of two pairs only."""
    network = network_with_pair([0.0, 1.0, 0.0])
    assert tell_pairs(2, PAIRS, network) == "; 1 of at most 2 pairs, the strongest first: a × b"
    assert tell_pairs(1, PAIRS[:1], network) == "; 1 pair, the strongest first: a × b"


def test_no_pair() -> None:
    """Wanted, but not there; and not wanted."""
    curves = KAN(KANConfig((3, 1)))
    assert tell_pairs(3, PAIRS, curves) == "; 0 of at most 3 pairs, since none is stronger than noise"
    assert tell_pairs(0, [], curves) == ""


def test_pairs_without_room() -> None:
    """The limit on the coefficients is the reason; "more" is said only beside pairs that the model has."""
    network, reason = network_with_pair([0.0, 1.0, 0.0]), "because a model has at most 6,000 coefficients"
    told = tell_pairs(9, PAIRS, network, 7, 6000)
    assert told == f"; 1 of at most 9 pairs, the strongest first: a × b; 7 more left out, {reason}"
    assert tell_pairs(9, [], KAN(KANConfig((3, 1))), 7, 6000) == f"; 0 of at most 9 pairs; 7 left out, {reason}"
