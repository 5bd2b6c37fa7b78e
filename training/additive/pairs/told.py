"""The pairs of a fit as the notes of a run tell them."""

from collections.abc import Sequence

from kan_model import KAN
from kan_model.analysis.curve_sum import read_pairs
from training.additive.terms import Pair


def tell_pairs(
    most: int, pairs: Sequence[Pair], network: KAN, without_room: int = 0, most_coefficients: int = 0
) -> str:
    """How many pairs a network has, and which; nothing if none are wanted.

    Args:
        most: How many are wanted at most.
        pairs: The fitted pairs, the strongest one first. The network has no node for a pair that moves no answer.
        network: The network of the fit.
        without_room: How many further pairs are stronger than noise, and left out.
        most_coefficients: The limit on the coefficients of a model, the reason why pairs are left out.
    """
    if not most:
        return ""
    nodes = [(set(each.first), set(each.second)) for each in read_pairs(network)]
    names = [
        f"{pair.first.name} × {pair.second.name}"
        for pair in pairs
        if any(one <= set(pair.first.inputs) and two <= set(pair.second.inputs) for one, two in nodes)
    ]
    number = f"{most} pair{'' if most == 1 else 's'}"
    if len(names) < most:
        number = f"{len(names)} of at most {number}"
    text = f"; {number}"
    if names:
        text += f", the strongest first: {', '.join(names)}"
    elif not without_room:
        text += ", since none is stronger than noise"
    if without_room:
        more = " more" if names else ""
        text += f"; {without_room}{more} left out, because a model has at most {most_coefficients:,} coefficients"
    return text
