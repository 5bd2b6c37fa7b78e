"""The penalised fit of a family: least squares with the λs of the least score, step after step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.additive.criterion import Chosen, Criterion, Vector
from training.additive.families import Family
from training.additive.rows import TermRows
from training.additive.smoothing import STEPS, Scored, choose_strengths
from training.additive.sums import Sums

# Classes that can be told apart without an error have no best fit: the steps are bounded.
_MOST_CYCLES, _MOST_CYCLES_AGAIN, _HALVINGS = 25, 200, 10
# After so many cycles the λs stay, so that the coefficients settle; after fewer where a fit is there to begin with.
_CHOOSING_CYCLES, _CHOOSING_CYCLES_FROM_START, _STEPS_A_CYCLE = 6, 3, 3
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
    widths, outputs = rows.widths, y.shape[1]
    scored: Callable[[Sums], Scored] = criterion or (lambda each: Criterion(each, widths, family.score))
    first = torch.zeros(rows.coefficients, outputs, dtype=torch.float64) if start is None else start.coefficients
    fit = _Fit(rows, family, y, weights, first)
    places = _first_places(outputs, widths, start)
    chosen: list[Chosen | None] = [None] * outputs
    before, is_settled = np.inf, False
    choosing = _CHOOSING_CYCLES if start is None else _CHOOSING_CYCLES_FROM_START
    for cycle in range(_MOST_CYCLES):
        is_chosen_anew = False
        for output in range(outputs):
            step = scored(fit.sums(output))
            settled = step.at(places[output]) if cycle >= choosing else None
            if settled is None:
                places[output], settled = choose_strengths(step, places[output], _STEPS_A_CYCLE)
                is_chosen_anew = True
            chosen[output] = found = settled
            fit.move(output, found.coefficients, places[output], widths)
        after = fit.cost(places, widths)
        # Costs compare under the same λs only.
        is_settled = not is_chosen_anew and abs(before - after) <= _TOLERANCE * abs(after)
        if is_settled:
            break
        before = after
    return Curves(fit.coefficients, tuple(places), tuple(each for each in chosen if each is not None), is_settled)


def fit_again(
    rows: TermRows, family: Family, y: Tensor, weights: Tensor | None, start: Curves, tolerance: float = 1e-4
) -> Tensor:
    """The coefficients for other rows with the same λs, from those of a fit before.

    Args:
        rows: The rows.
        family: What is minimized.
        y: ``[rows, outputs]``.
        weights: ``[rows]``; None: all 1.
        start: The fit before.
        tolerance: The steps end when the loss falls by less than this share of it.
    """
    widths = rows.widths
    fit = _Fit(rows, family, y, weights, start.coefficients.clone())
    before = np.inf
    for _ in range(_MOST_CYCLES_AGAIN):
        for output, place in enumerate(start.log_strengths):
            found = Criterion(fit.sums(output), widths, family.score).fit(place)
            if found is not None:
                fit.move(output, found, place, widths)
        after = fit.cost(start.log_strengths, widths)
        if family.is_quadratic or abs(before - after) <= tolerance * abs(after):
            break
        before = after
    return fit.coefficients


def _first_places(outputs: int, widths: tuple[int, ...], start: Curves | None) -> list[Vector]:
    return [np.zeros(len(widths)) for _ in range(outputs)] if start is None else list(start.log_strengths)


class _Fit:
    """Coefficients on their way, with the scores of the rows."""

    def __init__(self, rows: TermRows, family: Family, y: Tensor, weights: Tensor | None, coefficients: Tensor) -> None:
        self._rows, self._family, self._y = rows, family, y
        self._weights = torch.ones_like(y[:, 0]) if weights is None else weights
        self.coefficients = coefficients
        self._scores = rows.answers(coefficients)

    def sums(self, output: int) -> Sums:
        """Of the working targets of an output."""
        targets, factors = self._family.working(self._scores, self._y, output)
        return self._rows.sums(targets[:, None], self._weights, factors)[0]

    def cost(self, places: Sequence[Vector], widths: tuple[int, ...]) -> float:
        """The sum over the rows, and the penalties with these log λs."""
        strengths = torch.stack([_strengths(len(self.coefficients), place, widths) for place in places], dim=1)
        return self._loss_of(self._scores) + float((strengths * self.coefficients.square()).sum()) / 2

    def move(self, output: int, target: Tensor, place: Vector, widths: tuple[int, ...]) -> None:
        """Go to other coefficients of an output, or as far towards them as lowers loss and penalties."""
        strengths = _strengths(len(target), place, widths)

        def cost(scores: Tensor, coefficients: Tensor) -> float:
            return self._loss_of(scores) + float((strengths * coefficients.square()).sum()) / 2

        start, scores = self.coefficients[:, output], self._scores[:, output]
        moved = self._rows.answers(target[:, None])[:, 0]
        before, share = cost(self._scores, start), 1.0
        for _ in range(_HALVINGS):
            tried = self._scores.clone()
            tried[:, output] = scores + share * (moved - scores)
            coefficients = start + share * (target - start)
            if cost(tried, coefficients) <= before:
                self._scores = tried
                self.coefficients = self.coefficients.clone()
                self.coefficients[:, output] = coefficients
                return
            share /= 2

    def _loss_of(self, scores: Tensor) -> float:
        return float((self._weights * self._family.losses(scores, self._y)).sum())


def _strengths(count: int, place: Vector, widths: tuple[int, ...]) -> Tensor:
    """``[coefficients]``, the λ of each."""
    penalised = np.repeat(np.exp(place), widths)
    return torch.from_numpy(np.concatenate([np.zeros(count - len(penalised)), penalised]))
