"""The choice of functions in context: by the loss of the whole network, not by each edge's own curve.

The curve of an edge may be one of many that make the same network: in f(u(a)·v(b)) the edges may be u = a² and v = b²,
with a square root in f. Each edge's curve alone then looks like no function, or like the wrong one. So the best few
candidates of an edge are tried: the edge becomes the candidate, the whole network is fitted for some steps, splines
too, and the networks with the best criterion stay. Then the next edge follows.

Source: greedy in-context symbolic regression, arXiv 2603.15250. Ours adds the price of a function to the loss, and
keeps networks of two kinds instead of one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kan_model import KAN, fix_symbolic, suggest_symbolic
from kan_model.symbolic.invariance import invariance_of
from training.data.samples import Samples
from training.formulas.descent import descend
from training.formulas.shapes import EXACT, count_edges
from training.formulas.work import STEPS_OF_A_FUNCTION, Work

_TRIED, _STEPS = 5, 15
# Kinds of networks that are kept after each edge, where their criterion is close to the best one's.
_BEAM, _MARGIN = 2, 20.0
# Tried on each edge beside the best few: what the other edges can make up for.
_ALWAYS = ("x", "x^2")


@dataclass(frozen=True)
class _Partial:
    """A network in which some edges are functions.

    Attributes:
        kan: The network after a brief fit.
        price: Of its functions: complexity and free constants, in log n.
        criterion: n·log(mean squared error) + price; lower is better.
    """

    kan: KAN
    price: float
    criterion: float


def choose_in_context(kan: KAN, train: Samples, functions: Sequence[str], work: Work) -> list[KAN]:
    """The network with each edge replaced by a function, chosen in context; an edge without any candidate stays.

    Args:
        kan: The network, in float64; it is not changed.
        train: Its training rows.
        functions: Names of the functions to try.
        work: Counts each fit.

    Returns:
        A few networks, those of the best kind first.

    Raises:
        WorkSpent: before all edges were functions.
    """
    kept = [_Partial(kan, 0.0, 0.0)]
    for layer in range(len(kan.layers)):
        for output, input_ in (kan.layers[layer].edge_mask != 0).nonzero().tolist():
            place = (layer, output, input_)
            found = [tried for each in kept for tried in _try_edge(each, train, place, functions, work)]
            found.sort(key=lambda each: each.criterion)
            kept = _best_kinds([each for each in found if each.criterion <= found[0].criterion + _MARGIN]) or kept
    return [each.kan for each in kept]


def _best_kinds(found: Sequence[_Partial]) -> list[_Partial]:
    """The best networks, of which a sine and a cosine count as one: each is the other with another shift."""
    kept = dict[tuple[str, ...], list[_Partial]]()
    for each in found:
        names = (name for layer in each.kan.layers for name in layer.symbolic_functions)
        kind = tuple("wave" if invariance_of(name).wave else name for name in names)
        if kind in kept or len(kept) < _BEAM:
            kept.setdefault(kind, []).append(each)
    return [each for twins in kept.values() for each in twins[:2]]


def _try_edge(
    start: _Partial,
    train: Samples,
    place: tuple[int, int, int],
    functions: Sequence[str],
    work: Work,
) -> Iterator[_Partial]:
    """The network with each of an edge's best candidates, briefly fitted."""
    work.add(STEPS_OF_A_FUNCTION * len(functions))
    try:
        ranked = suggest_symbolic(start.kan, train.x, *place, functions=functions)
    except ValueError:  # A value before the edge is not finite.
        return
    for candidate in (*ranked[:_TRIED], *(each for each in ranked[_TRIED:] if each.edge.function in _ALWAYS)):
        work.add(_STEPS, count_edges(start.kan))
        kan, found = descend(fix_symbolic(start.kan, place[0], candidate.edge), train, _STEPS)
        if not math.isfinite(found):
            continue
        parts = candidate.complexity + invariance_of(candidate.edge.function).free_constants
        price = start.price + parts * math.log(len(train.x))
        yield _Partial(kan, price, 2 * len(train.x) * math.log(max(found, EXACT)) + price)
