"""The curves of a table: the penalised fit of all rows, and answers to each fold by a fit without it."""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from training.additive.families import Family
from training.additive.newton import Curves, fit_again, fit_family, fit_squares, fit_squares_again
from training.additive.rows import TermRows
from training.additive.sums import Sums


@dataclass(frozen=True)
class Problem:
    """What the curves are fitted to.

    Attributes:
        family: What is minimized.
        targets: ``[rows, outputs of the fit]``: of two classes one column, of more one each.
        weights: ``[rows]``, whose sum is the effective number of rows; None: all 1.
        folds: ``[rows]``, the fold of each row.
    """

    family: Family
    targets: Tensor
    weights: Tensor | None
    folds: Tensor

    @property
    def count_folds(self) -> int:
        """The number of folds."""
        return int(self.folds.max()) + 1

    def part(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Targets and weights of some rows."""
        return self.targets[rows], None if self.weights is None else self.weights[rows]


@dataclass(frozen=True)
class Solution:
    """A fit of all rows.

    Attributes:
        rows: The rows, and the terms that they are seen by.
        curves: The fit.
        sums: A tuple for each fold, with one item for each output. Empty if the loss is not
            quadratic or the fit has pairs.
    """

    rows: TermRows
    curves: Curves
    sums: tuple[tuple[Sums, ...], ...] = ()


def solve(rows: TermRows, problem: Problem) -> Solution:
    """Fit the curves to all rows.

    Raises:
        ArithmeticError: no λ gives a finite fit.
    """
    if not problem.family.is_quadratic:
        return Solution(rows, fit_family(rows, problem.family, problem.targets, problem.weights))
    sums = []
    for fold in range(problem.count_folds):
        some = torch.nonzero(problem.folds == fold).flatten()
        sums.append(tuple(rows.take(some).sums(*problem.part(some))))
    return Solution(rows, fit_squares(_together(sums), rows.widths), tuple(sums))


def answers_out_of_fold(solution: Solution, problem: Problem) -> Tensor:
    """The answers ``[rows, outputs of the fit]`` of curves without the row's fold, with the λs of the whole fit."""
    answers = torch.zeros_like(problem.targets)
    for fold in range(problem.count_folds):
        left_out = torch.nonzero(problem.folds == fold).flatten()
        answers[left_out] = solution.rows.take(left_out).answers(coefficients_without(solution, problem, fold))
    return answers


def coefficients_without(solution: Solution, problem: Problem, fold: int) -> Tensor:
    """The coefficients of a fit without the rows of a fold, with the λs of the whole fit."""
    rows, curves = solution.rows, solution.curves
    if problem.family.is_quadratic:
        others = [part for place, part in enumerate(solution.sums) if place != fold]
        return fit_squares_again(_together(others), rows.widths, curves)
    some = torch.nonzero(problem.folds != fold).flatten()
    return fit_again(rows.take(some), problem.family, *problem.part(some), curves)


def _together(folds: list[tuple[Sums, ...]]) -> list[Sums]:
    """The sums over several folds, for each output."""
    return [reduce(Sums.together, each) for each in zip(*folds, strict=True)]
