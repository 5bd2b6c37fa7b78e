"""The penalised fit of a family: least squares with the λs of the least score, step after step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.additive.criterion import Chosen, Criterion, Vector
from training.additive.descent import Descent
from training.additive.families import Family
from training.additive.rows import TermRows
from training.additive.smoothing import STEPS, Scored, choose_strengths
from training.additive.sums import Sums

# Classes that can be told apart without an error have no best fit: the steps are bounded.
_MOST_CYCLES, _MOST_CYCLES_AGAIN = 25, 200
# After so many cycles the λs stay, so that the coefficients settle; after fewer where a fit is there to begin with, or
# where a cycle changes the loss by less than a share of it.
_CHOOSING_CYCLES, _CHOOSING_CYCLES_FROM_START, _STEPS_A_CYCLE, _CHOSEN = 6, 3, 3, 1e-3
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Curves:
    """Fitted curves.

    Attributes:
        coefficients: ``[coefficients, outputs]``.
        log_strengths: For each output the log λs.
        chosen: For each output the last weighted least-squares fit.
        is_settled: Whether the last step changed loss and penalties by next to nothing.
    """

    coefficients: Tensor
    log_strengths: tuple[Vector, ...]
    chosen: tuple[Chosen, ...]
    is_settled: bool = True


def fit_squares(
    sums: Sequence[Sums],
    widths: tuple[int, ...],
    start: Curves | None = None,
    criterion: Callable[[Sums], Scored] | None = None,
    steps: int = STEPS,
) -> Curves:
    """Least squares, for each output.

    Args:
        sums: For each output.
        widths: The number of coefficients of each penalty.
        start: Its λs are the first ones; None: 1.
        criterion: What chooses the λs; None: generalised cross-validation.
        steps: The most steps of the λs.

    Raises:
        ArithmeticError: no λ gives a finite fit.
    """
    scored: Callable[[Sums], Scored] = criterion or (lambda each: Criterion(each, widths))
    places = _first_places(len(sums), widths, start)
    found = [choose_strengths(scored(each), place, steps) for each, place in zip(sums, places, strict=True)]
    return Curves(
        torch.stack([chosen.coefficients for _, chosen in found], dim=1),
        tuple(place for place, _ in found),
        tuple(chosen for _, chosen in found),
    )


def fit_squares_again(sums: Sequence[Sums], widths: tuple[int, ...], start: Curves) -> Tensor:
    """The coefficients ``[coefficients, outputs]`` for other sums with the same λs."""
    found = [Criterion(each, widths).fit(place) for each, place in zip(sums, start.log_strengths, strict=True)]
    # Without a fit of their own the rows get the one before.
    kept = [start.coefficients[:, output] if each is None else each for output, each in enumerate(found)]
    return torch.stack(kept, dim=1)


def fit_family(
    rows: TermRows,
    family: Family,
    y: Tensor,
    weights: Tensor | None,
    start: Curves | None = None,
    criterion: Callable[[Sums], Scored] | None = None,
) -> Curves:
    """Newton's method, output by output in turn; the λs are chosen anew for each step, until they stay.

    Args:
        rows: The rows.
        family: What is minimized.
        y: ``[rows, outputs]``.
        weights: ``[rows]``, whose sum is the effective number of rows; None: all 1.
        start: Coefficients and λs to begin with; None: 0 and 1.
        criterion: What chooses the λs of a step; None: the family's score.

    Raises:
        ArithmeticError: no λ gives a finite fit.

    Source: Gu, Cross-validating non-Gaussian data (1992): the λs of each step's least squares are the next step's.
    """
    outputs = y.shape[1]
    scored: Callable[[Sums], Scored] = criterion or (lambda each: Criterion(each, rows.widths, family.score))
    first = torch.zeros(rows.coefficients, outputs, dtype=torch.float64) if start is None else start.coefficients
    way, places = Descent(rows, family, y, weights, first), _first_places(outputs, rows.widths, start)
    found, cycles = dict[int, Chosen](), _MOST_CYCLES
    for _ in range(_CHOOSING_CYCLES if start is None else _CHOOSING_CYCLES_FROM_START):
        before, cycles = way.loss, cycles - 1
        for output in range(outputs):
            step = scored(way.sums(output))
            places[output], found[output] = choose_strengths(step, places[output], _STEPS_A_CYCLE)
            way.move(output, found[output].coefficients, places[output])
        if abs(before - way.loss) <= _CHOSEN * abs(way.loss):
            break

    def factor_of(output: int) -> Tensor | None:
        step = scored(way.sums(output))
        places[output], found[output] = choose_strengths(step, places[output], steps=0)
        return found[output].factor

    is_settled = way.settle(places, factor_of, _TOLERANCE, cycles, [found[output].factor for output in range(outputs)])
    return Curves(way.coefficients, tuple(places), tuple(found[output] for output in range(outputs)), is_settled)


def fit_again(
    rows: TermRows, family: Family, y: Tensor, weights: Tensor | None, start: Curves, tolerance: float = 1e-4
) -> Tensor:
    """The coefficients for other rows with the same λs, from those of a fit before.

    Args:
        rows: The rows.
        family: What is minimized.
        y: ``[rows, outputs]``.
        weights: ``[rows]``; None: all 1.
        start: The fit before. Its last weighted least-squares fits, if it has some, are of the same coefficients.
        tolerance: The steps end when the loss falls by less than this share of it.
    """
    way, places = Descent(rows, family, y, weights, start.coefficients), start.log_strengths

    def factor_of(output: int) -> Tensor | None:
        return Criterion(way.sums(output), rows.widths).factor(places[output])

    way.settle(places, factor_of, tolerance, _MOST_CYCLES_AGAIN, [each.factor for each in start.chosen])
    return way.coefficients


def _first_places(outputs: int, widths: tuple[int, ...], start: Curves | None) -> list[Vector]:
    return [np.zeros(len(widths)) for _ in range(outputs)] if start is None else list(start.log_strengths)
