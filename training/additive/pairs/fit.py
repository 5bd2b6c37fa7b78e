"""Fit pairs of columns beside the curves: their products and the curves' coefficients together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from training.additive.criterion import Vector
from training.additive.newton import Curves, fit_again, fit_family, fit_squares
from training.additive.pairs.evidence import Evidence, weigh_pairs
from training.additive.pairs.likelihood import Likelihood
from training.additive.rows import TermRows
from training.additive.smoothing import choose_strengths
from training.additive.solution import Problem, Solution, coefficients_without
from training.additive.sums import Sums
from training.additive.terms import Pair, Side

# The most steps of the λs without a fold: they begin with those of the whole fit.
_STEPS = 3


@dataclass(frozen=True)
class PairFit:
    """Curves, and pairs beside them.

    Attributes:
        curves: The curves alone, whose λs stay.
        problem: What they are fitted to.
        sides: The columns.
        count: How many pairs at most.
        room: How many coefficients they may have at most.
    """

    curves: Solution
    problem: Problem
    sides: Sequence[Side]
    count: int
    room: int

    @cached_property
    def whole(self) -> Solution:
        """The fit of all rows with the strongest pairs, the strongest one first; the curves if none is strong.

        Raises:
            ArithmeticError: no λ gives a finite fit.
        """
        if not (pairs := self._evidence.fitting(self.count, self.room)):
            return self.curves
        rows, curves = _with_pairs(self.curves.rows, pairs), self.curves.curves
        start = _start(rows, curves.coefficients, curves, ())
        family, targets, weights = self.problem.family, self.problem.targets, self.problem.weights
        if family.is_quadratic:
            return Solution(rows, fit_squares(rows.sums(targets, weights), rows.widths, start, self._scoring(rows)))
        return Solution(rows, fit_family(rows, family, targets, weights, start, self._scoring(rows)))

    @property
    def without_room(self) -> int:
        """How many of the strongest pairs are left out because their coefficients would be too many."""
        return len(self._evidence.strongest(self.count)) - len(self._evidence.fitting(self.count, self.room))

    def answers_out_of_fold(self) -> Tensor:
        """The answers ``[rows, outputs of the fit]`` of fits without the row's fold.

        The pairs are chosen anew without the fold, and so are their λs; those of the curves are those of the whole fit.
        """
        answers = torch.zeros_like(self.problem.targets)
        for fold in range(self.problem.count_folds):
            left_out = torch.nonzero(self.problem.folds == fold).flatten()
            coefficients = coefficients_without(self.curves, self.problem, fold)
            rows = self.curves.rows.take(left_out)
            if pairs := self._evidence.fitting(self.count, self.room, fold):
                others = torch.nonzero(self.problem.folds != fold).flatten()
                fitted = _with_pairs(self.curves.rows.take(others), pairs)
                coefficients = self._fit_again(fitted, *self.problem.part(others), coefficients)
                rows = rows.with_pairs(fitted.terms)
            answers[left_out] = rows.answers(coefficients)
        return answers

    def _fit_again(self, rows: TermRows, targets: Tensor, weights: Tensor | None, coefficients: Tensor) -> Tensor:
        """The coefficients for some rows, from those of the curves alone."""
        start = _start(rows, coefficients, self.curves.curves, self._known)
        family, scoring = self.problem.family, self._scoring(rows)
        if family.is_quadratic:
            return fit_squares(rows.sums(targets, weights), rows.widths, start, scoring, _STEPS).coefficients
        scores, places = rows.answers(start.coefficients), list[Vector]()
        for output, place in enumerate(start.log_strengths):
            working, factors = family.working(scores, targets, output)
            sums = rows.sums(working[:, None], weights, factors)[0]
            places.append(choose_strengths(scoring(sums), place, _STEPS)[0])
        return fit_again(rows, family, targets, weights, Curves(start.coefficients, tuple(places), start.chosen))

    def _scoring(self, rows: TermRows) -> Callable[[Sums], Likelihood]:
        """What chooses the λs of pairs."""
        return lambda sums: Likelihood(sums, rows.widths, self.problem.family.score, len(self.curves.rows.widths))

    @cached_property
    def _evidence(self) -> Evidence:
        return weigh_pairs(self.curves, self.problem, self.sides)

    @cached_property
    def _known(self) -> tuple[Mapping[tuple[str, str], Vector], ...]:
        """For each output the log λs of the pairs of the whole fit."""
        pairs, fixed = self.whole.rows.terms.pairs, len(self.curves.rows.widths)
        ends = np.cumsum([len(pair.widths) for pair in pairs])[:-1]
        return tuple(
            dict(zip([_names(pair) for pair in pairs], np.split(place[fixed:], ends), strict=True)) if pairs else {}
            for place in self.whole.curves.log_strengths
        )


def _with_pairs(rows: TermRows, pairs: Sequence[tuple[Side, Side]]) -> TermRows:
    return rows.with_pairs(rows.terms.with_pairs([_pair(rows, *each) for each in pairs]))


def _start(
    rows: TermRows, coefficients: Tensor, curves: Curves, known: Sequence[Mapping[tuple[str, str], Vector]]
) -> Curves:
    """Curves as they are, with pairs of 0 whose λs are known or 1."""
    nothing = coefficients.new_zeros(rows.coefficients - len(coefficients), coefficients.shape[1])
    places = []
    for output, place in enumerate(curves.log_strengths):
        own = known[output] if known else {}
        pairs = [own.get(_names(pair), np.zeros(len(pair.widths))) for pair in rows.terms.pairs]
        places.append(np.concatenate([place, *pairs]))
    return Curves(torch.cat([coefficients, nothing]), tuple(places), curves.chosen)


def _names(pair: Pair) -> tuple[str, str]:
    return pair.first.name, pair.second.name


def _pair(rows: TermRows, first: Side, second: Side) -> Pair:
    """Two columns as a term: the products of a penalty have a sum of squares over the rows of 1 on average."""
    plain = Pair(first, second, ())
    values = [dict(zip(side.functions, rows.functions(side).T, strict=True)) for side in (first, second)]
    factors = []
    for block in plain.blocks():
        squares = sum(float((values[0][one] * values[1][two]).square().sum()) for one, two in block) / len(block)
        factors.append(squares**-0.5 if squares > 0 else 0.0)
    return Pair(first, second, tuple(factors))
