"""Small networks of different shapes, without the edges that the validation rows do not miss."""

import math

import torch

from kan_model import KAN, KANConfig, adapt_grid, prune
from kan_model.network.network import Level
from training.data.samples import Samples
from training.formulas.descent import descend, error
from training.formulas.work import Work, WorkSpent

Shape = tuple[Level, ...]

_GRID_SIZE, _STEPS, _ROUNDS, _STARTS = 4, 40, 2, 2
# An edge may go if the error on the validation rows grows by less. That of 100 rows differs by 7 % between samples.
SLACK = 1.05
# Errors below this share of the deviation are equally small.
EXACT = 1e-5


def shapes(inputs: int) -> list[Shape]:
    """From the simplest on: sums, a function of a sum, a product, a function of a product, a product in a sum."""
    if inputs == 1:
        return [(1, 1), (1, 1, 1)]
    one: list[Shape] = [(inputs, 1), (inputs, 1, 1), (inputs, (0, 1)), (inputs, (0, 1), 1)]
    return [*one, (inputs, (1, 1), 1), (inputs, 2, (0, 1))]


def fit_shape(shape: Shape, train: Samples, validation: Samples, seed: int, work: Work) -> KAN | None:
    """The best network of a shape from two starts, pruned; None if no fit succeeds.

    Args:
        shape: Width of the network.
        train: Rows in units in which the targets have the deviation 1.
        validation: Rows that choose.
        seed: Of the starts.
        work: Counts each fit. Where it is spent, edges that might go stay.

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
    if not fitted:
        return None
    best = min(fitted, key=lambda each: error(each, validation))
    allowed = SLACK * max(EXACT, error(best, validation))
    while (edges := count_edges(best)) > 1:
        try:
            smaller = _fit(prune(best, train.x, edges=edges - 1, keep_inputs=True).kan, train, validation, work)
        except (ValueError, WorkSpent):  # No path from an input to the output would be left.
            break
        if smaller is None or error(smaller, validation) > allowed:
            break
        best = smaller
    return best


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
