"""Small networks of different shapes, without the edges that the validation rows do not miss."""

import math
from contextlib import suppress
from dataclasses import dataclass

import torch

from kan_model import KAN, KANConfig, adapt_grid, prune
from kan_model.analysis.attribution import attribute
from kan_model.network.network import Level
from kan_model.network.symbolic_edge import SymbolicEdge
from training.data.samples import Samples
from training.formulas.descent import descend, error
from training.formulas.work import Work, WorkSpent

Shape = tuple[Level, ...]
Place = tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    """A network to fit.

    Attributes:
        shape: Its width.
        is_straight: Whether the edges of the last layer are straight lines and not splines.
    """

    shape: Shape
    is_straight: bool = False


_GRID_SIZE, _STEPS, _ROUNDS = 4, 40, 2
# A network without an edge is fitted to the end if a brief fit brings its error below so many times what is allowed.
_BRIEF_STEPS, _WORTH_STEPS = 15, 3.0
# Edges that are tried before the next one goes; a network that is worth a search has no more at the end.
_MOST_TRIED = 8
# An edge may go if the error on the validation rows grows by less. That of 100 rows differs by 7 % between samples.
SLACK = 1.05
# Errors below this share of the deviation are equally small.
EXACT = 1e-5
# Splines of few intervals have errors up to this share of the deviation even without noise.
COARSE = 0.01


def shapes(inputs: int) -> list[Shape]:
    """From the simplest on: sums, a function of a sum, a product, a function of a product, a product in a sum."""
    if inputs == 1:
        return [(1, 1), (1, 1, 1)]
    one: list[Shape] = [(inputs, 1), (inputs, 1, 1), (inputs, (0, 1)), (inputs, (0, 1), 1)]
    return [*one, (inputs, (1, 1), 1), (inputs, 2, (0, 1))]


def plans(inputs: int) -> list[Plan]:
    """The shapes, and beside the sum of curves and one product of curves: with straight lines behind both.

    Without splines there, a² · b − c has one network, up to constants. With them it has many, and few become plain.
    """
    found = [Plan(shape) for shape in shapes(inputs)]
    return found if inputs == 1 else [*found, Plan((inputs, (1, 1), 1), is_straight=True)]


def fit_plan(plan: Plan, train: Samples, validation: Samples, seed: int, work: Work) -> KAN | None:
    """The network of a plan, fitted from a random start; None if the fit diverges.

    Args:
        plan: Shape of the network.
        train: Rows in units in which the targets have the deviation 1.
        validation: Rows that choose the best step.
        seed: Of the start.
        work: Counts the fit.

    Raises:
        WorkSpent: before the fit.
    """
    low, high = train.x.amin(dim=0), train.x.amax(dim=0)
    domain = tuple((float(a), float(b) if b > a else float(a) + 1) for a, b in zip(low, high, strict=True))
    config = KANConfig(plan.shape, grid_size=_GRID_SIZE, domain=domain)
    kan = KAN(config, seed=seed, dtype=torch.float64)
    return _fit(_straighten_end(kan) if plan.is_straight else kan, train, validation, work)


def depends_on_start(plan: Plan) -> bool:
    """Whether fits from other starts may end elsewhere. That of a sum of curves does not."""
    return len(plan.shape) > 2 or not isinstance(plan.shape[-1], int)


def drop_edges(kan: KAN, train: Samples, validation: Samples, work: Work) -> list[KAN]:
    """The network without the edges that the validation rows do not miss, and one without those that they miss little.

    Without noise splines always gain a little from a further edge, since they are coarse. So edges go on until the
    error is above :data:`COARSE`, and the network with the fewest edges is one more to search.

    Args:
        kan: The network; it is not changed.
        train: The training rows.
        validation: Rows that say whether an edge may go.
        work: Counts each fit. Where it is spent, edges that might go stay.

    Returns:
        One network, or two, the one with fewer edges first.
    """
    best, smallest = kan, kan
    allowed = SLACK * max(EXACT, error(kan, validation))
    with suppress(WorkSpent):
        while (tried := _with_one_edge_less(smallest, train, validation, allowed, work)) is not None:
            smallest, best = tried[0], tried[0] if tried[1] <= allowed else best
    return [best] if smallest is best else [smallest, best]


def _with_one_edge_less(
    kan: KAN, train: Samples, validation: Samples, allowed: float, work: Work
) -> tuple[KAN, float] | None:
    """The network without the weakest edge that may go, and its error; None if none may.

    The score of an edge says little where edges can stand in for each other, so the others follow.
    """
    if count_edges(kan) == 1:
        return None
    limit, found = max(allowed, COARSE), list[tuple[KAN, float]]()
    for place in _by_score(kan, train)[:_MOST_TRIED]:
        try:
            smaller = _without(kan, place, train)
        except ValueError:  # No path from an input to the output would be left.
            continue
        work.add(_BRIEF_STEPS, count_edges(smaller))
        if descend(smaller, train, _BRIEF_STEPS, validation)[1] > _WORTH_STEPS * limit:
            continue
        if (fitted := _fit(smaller, train, validation, work)) is None:
            continue
        found.append((fitted, error(fitted, validation)))
        if found[-1][1] <= allowed:
            return found[-1]
    best = min(found, key=lambda each: each[1], default=None)
    return best if best is not None and best[1] <= limit else None


def _straighten_end(kan: KAN) -> KAN:
    """With straight lines in the place of the last layer's splines."""
    edges = [SymbolicEdge(0, input_, "x", 1.0, 0.0, 1.0, 0.0) for input_ in range(kan.width[-2])]
    return kan.with_layers([*kan.layers[:-1], kan.layers[-1].with_symbolic(edges)])


def _by_score(kan: KAN, train: Samples) -> list[Place]:
    """Layer, sum and input of each edge that is a spline, the weakest edge first."""
    scores = attribute(kan, train.x).edges
    places = [
        (index, *place) for index, layer in enumerate(kan.layers) for place in (layer.edge_mask != 0).nonzero().tolist()
    ]
    return sorted(places, key=lambda place: float(scores[place[0]][place[1:]]))


def _without(kan: KAN, place: Place, train: Samples) -> KAN:
    """The network without an edge, whose mean becomes a bias.

    Raises:
        ValueError: no path from an input to the output is left.
    """
    index, output, input_ = place
    layer, x = kan.layers[index], train.x
    with torch.no_grad():
        for before in kan.layers[:index]:
            x = before(x)
        mask, bias = layer.edge_mask.clone(), torch.zeros(layer.sums, dtype=torch.float64)
        mask[output, input_] = 0
        bias[output] = layer.edge_outputs(x)[:, output, input_].mean()
    layers = list(kan.layers)
    layers[index] = layer.changed(edge_mask=mask, bias=bias if layer.bias is None else layer.bias.detach() + bias)
    return prune(kan.with_layers(layers), train.x, node_threshold=0.0, edge_threshold=0.0, keep_inputs=True).kan


def shape_text(shape: Shape) -> str:
    """As pykan writes it, with a pair of nodes that add and nodes that multiply: "[2, [0, 1], 1]"."""
    return str([list(level) if isinstance(level, tuple) else level for level in shape])


def count_edges(kan: KAN) -> int:
    """Edges that are not pruned."""
    return sum(int(layer.active_edges.sum()) for layer in kan.layers)


def _fit(kan: KAN, train: Samples, validation: Samples, work: Work) -> KAN | None:
    """Fitted in two rounds; before each the hidden grids move to the hidden values."""
    work.add(_ROUNDS * _STEPS, count_edges(kan))
    try:
        for _ in range(_ROUNDS):
            kan = adapt_grid(kan, train.x, uniform_share=1.0, max_moved=math.inf).kan
            kan, found = descend(kan, train, _STEPS, validation)
    except ValueError:  # A value is not finite, or the network is too large.
        return None
    return kan if math.isfinite(found) else None
