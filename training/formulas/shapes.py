"""Small networks of different shapes, without the edges that the validation rows do not miss."""

import math
from contextlib import suppress
from itertools import pairwise

import torch

from kan_model import KAN, KANConfig, adapt_grid, fix_symbolic, prune, suggest_symbolic
from kan_model.analysis.attribution import attribute
from kan_model.network.network import Level
from training.data.samples import Samples
from training.formulas.descent import descend, error
from training.formulas.work import Work, WorkSpent

Shape = tuple[Level, ...]
Place = tuple[int, int, int]

_GRID_SIZE, _STEPS, _ROUNDS, _STARTS = 4, 40, 2, 2
# Edges that are tried before none may go. One is fitted to the end if a brief fit comes near what is allowed.
_MOST_TRIED, _BRIEF_STEPS, _WORTH_STEPS = 8, 15, 3.0
# A spline is tried as a straight line if this share of its variance is one, and stays one if the error on the
# validation rows grows by less than this: a line has fewer constants, so where it is true the error mostly falls.
_STRAIGHT_R2, _STRAIGHT_SLACK = 0.5, 1.02
# An edge may go if the error on the validation rows grows by less. That of 100 rows differs by 7 % between samples.
SLACK = 1.05
# Errors of formulas, and of splines with their coarse grids, below these shares of the deviation are equally small.
EXACT, COARSE = 1e-5, 1e-3


def shapes(inputs: int) -> list[Shape]:
    """From the simplest on: sums, a function of a sum, a product, a function of a product, a product in a sum."""
    if inputs == 1:
        return [(1, 1), (1, 1, 1)]
    one: list[Shape] = [(inputs, 1), (inputs, 1, 1), (inputs, (0, 1)), (inputs, (0, 1), 1)]
    return [*one, (inputs, (1, 1), 1), (inputs, 2, (0, 1))]


def fit_shape(shape: Shape, train: Samples, validation: Samples, seed: int, work: Work) -> KAN | None:
    """The best network of a shape from two starts; None if no fit succeeds.

    Args:
        shape: Width of the network.
        train: Rows in units in which the targets have the deviation 1.
        validation: Rows that choose.
        seed: Of the starts.
        work: Counts each fit.

    Raises:
        WorkSpent: before any start was fitted.
    """
    low, high = train.x.amin(dim=0), train.x.amax(dim=0)
    domain = tuple((float(a), float(b) if b > a else float(a) + 1) for a, b in zip(low, high, strict=True))
    config = KANConfig(shape, grid_size=_GRID_SIZE, domain=domain)
    fitted = []
    for number in range(_STARTS):
        kan = KAN(config, seed=_STARTS * seed + number, dtype=torch.float64)
        if (found := _fit(kan, train, validation, work)) is not None:
            fitted.append(found)
    return min(fitted, key=lambda each: error(each, validation), default=None)


def simplify_shape(kan: KAN, train: Samples, validation: Samples, work: Work) -> KAN:
    """The network without the edges that the validation rows do not miss, and with straight lines where they may be.

    Args:
        kan: The network; it is not changed.
        train: The training rows.
        validation: Rows that say what may go.
        work: Counts each fit. Where it is spent, edges that might go stay.
    """
    with suppress(WorkSpent):
        kan = _without_idle_edges(kan, train, validation, work)
        for place in _by_straightness(kan, train):
            kan = _straighten(kan, place, train, validation, work)
        # Lines converge where splines did not, and then show further edges that may go.
        if count_splines(kan) < count_edges(kan):
            kan = _without_idle_edges(kan, train, validation, work)
    return kan


def _without_idle_edges(kan: KAN, train: Samples, validation: Samples, work: Work) -> KAN:
    while (smaller := _with_one_edge_less(kan, train, validation, work)) is not None:
        kan = smaller
    return kan


def _with_one_edge_less(kan: KAN, train: Samples, validation: Samples, work: Work) -> KAN | None:
    """The network without the weakest edge that may go; None if none may.

    Where edges can stand in for each other, their scores say little: so the next ones are tried too.
    """
    allowed = SLACK * max(COARSE, error(kan, validation))
    for place in _by_score(kan, train)[:_MOST_TRIED]:
        try:
            smaller = _without(kan, place, train)
        except ValueError:  # No path from an input to the output would be left.
            continue
        work.add(_BRIEF_STEPS, count_edges(smaller))
        try:
            if descend(smaller, train, _BRIEF_STEPS, validation)[1] > _WORTH_STEPS * allowed:
                continue
        except ValueError:  # A value is not finite.
            continue
        fitted = _fit(smaller, train, validation, work)
        if fitted is not None and error(fitted, validation) <= allowed:
            return fitted
    return None


def _straighten(kan: KAN, place: Place, train: Samples, validation: Samples, work: Work) -> KAN:
    """The network with a straight line in the place of a spline if the validation rows do not miss the curve."""
    (line,) = suggest_symbolic(kan, train.x, *place, functions=("x",))
    if line.r2 < _STRAIGHT_R2:
        return kan
    work.add(_STEPS, count_edges(kan))
    try:
        tried, found = descend(fix_symbolic(kan, place[0], line.edge), train, _STEPS, validation)
    except ValueError:  # A value is not finite.
        return kan
    return tried if found <= _STRAIGHT_SLACK * max(COARSE, error(kan, validation)) else kan


def _by_score(kan: KAN, train: Samples) -> list[Place]:
    """Layer, sum and input of each edge, the weakest first."""
    scores = attribute(kan, train.x).edges
    places = [
        (index, *place) for index, layer in enumerate(kan.layers) for place in layer.active_edges.nonzero().tolist()
    ]
    return sorted(places, key=lambda place: float(scores[place[0]][place[1:]]))


def _by_straightness(kan: KAN, train: Samples) -> list[Place]:
    """Layer, sum and input of each spline, the one that is closest to a straight line first.

    Without a curve of one curve alone: either of the two could bend for both, and 1/(1 + b²) needs both.
    """
    chained = _chained(kan)
    splines = [place for place in _splines(kan) if place not in chained]
    return sorted(splines, key=lambda place: -suggest_symbolic(kan, train.x, *place, functions=("x",))[0].r2)


def _splines(kan: KAN) -> list[Place]:
    return [
        (index, *place) for index, layer in enumerate(kan.layers) for place in (layer.edge_mask != 0).nonzero().tolist()
    ]


def _chained(kan: KAN) -> set[Place]:
    """Edges to a hidden node that no other edge feeds and that multiplies nothing, and those that read it."""
    found = set[Place]()
    for index, (layer, after) in enumerate(pairwise(kan.layers)):
        for node in range(after.active_edges.shape[1]):
            sums = [node] if layer.products is None else layer.products.sums_of([node]).tolist()
            edges = [(index, *edge) for edge in layer.active_edges.nonzero().tolist() if edge[0] in sums]
            if len(sums) == len(edges) == 1:
                found |= {edges[0], *((index + 1, output, node) for output in range(len(after.active_edges)))}
    return found


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
    lines = [edge for edge in layer.symbolic if (edge.output, edge.input) != (output, input_)]
    if layer.bias is not None:
        bias += layer.bias.detach()
    layers = list(kan.layers)
    layers[index] = layer.changed(edge_mask=mask, symbolic=lines, bias=bias)
    return prune(kan.with_layers(layers), train.x, node_threshold=0.0, edge_threshold=0.0, keep_inputs=True).kan


def shape_text(shape: Shape) -> str:
    """As pykan writes it, with a pair of nodes that add and nodes that multiply: "[2, [0, 1], 1]"."""
    return str([list(level) if isinstance(level, tuple) else level for level in shape])


def count_edges(kan: KAN) -> int:
    """Edges that are not pruned."""
    return sum(int(layer.active_edges.sum()) for layer in kan.layers)


def count_splines(kan: KAN) -> int:
    """Edges that are splines."""
    return len(_splines(kan))


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
