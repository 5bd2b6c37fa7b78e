"""Small networks of different shapes, without the edges that the validation rows do not miss."""

import math
from collections.abc import Callable

import torch

from kan_model import KAN, KANConfig, adapt_grid, prune
from kan_model.network.network import Level
from training.data.samples import Samples
from training.errors import TrainingError
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection

Shape = tuple[Level, ...]

_GRID_SIZE, _STEPS, _STARTS = 4, 40, 2
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


def fit_shape(shape: Shape, train: Samples, validation: Samples, seed: int, check: Callable[[], None]) -> KAN | None:
    """The best network of a shape from two starts, pruned; None if no fit succeeds.

    Args:
        shape: Width of the network.
        train: Rows in units in which the targets have the deviation 1.
        validation: Rows that choose.
        seed: Of the starts.
        check: Called before each fit; it may raise to end the work.
    """
    low, high = train.x.amin(dim=0), train.x.amax(dim=0)
    domain = tuple((float(a), float(b) if b > a else float(a) + 1) for a, b in zip(low, high, strict=True))
    config = KANConfig(shape, grid_size=_GRID_SIZE, domain=domain)
    fitted = []
    for number in range(_STARTS):
        check()
        if (kan := _fit(KAN(config, seed=_STARTS * seed + number, dtype=torch.float64), train, validation)) is not None:
            fitted.append(kan)
    if not fitted:
        return None
    best = min(fitted, key=lambda each: error(each, validation))
    allowed = SLACK * max(EXACT, error(best, validation))
    while (edges := count_edges(best)) > 1:
        check()
        try:
            smaller = _fit(prune(best, train.x, edges=edges - 1, keep_inputs=True).kan, train, validation)
        except ValueError:  # No path from an input to the output would be left.
            break
        if smaller is None or error(smaller, validation) > allowed:
            break
        best = smaller
    return best


def count_edges(kan: KAN) -> int:
    """Edges that are not pruned."""
    return sum(int(layer.active_edges.sum()) for layer in kan.layers)


def error(kan: KAN, samples: Samples) -> float:
    """Root mean square error; infinity in place of NaN."""
    with torch.no_grad():
        found = float((kan(samples.x) - samples.y).square().mean().sqrt())
    return found if math.isfinite(found) else math.inf


def _fit(kan: KAN, train: Samples, validation: Samples) -> KAN | None:
    """Fitted in two rounds; before each the hidden grids move to the hidden values."""
    plan = FitSection(optimizer="levenberg-marquardt", steps=_STEPS)
    try:
        for _ in range(2):
            kan = adapt_grid(kan, train.x, uniform_share=1.0, max_moved=math.inf).kan
            kan = fit_module(kan, train, validation, plan, "regression").best
    except (ValueError, TrainingError):  # It diverged, or the columns leave nothing to fit.
        return None
    return kan
