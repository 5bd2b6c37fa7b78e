"""Fit pairs of columns beside the curves: their products and the curves' coefficients together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from training.additive.criterion import Chosen, Vector
from training.additive.descent import Descent
from training.additive.newton import Curves, fit_again, fit_family, fit_squares
from training.additive.pairs.evidence import Evidence, weigh_pairs
from training.additive.pairs.folds import Folds, measure_pair
from training.additive.pairs.likelihood import Likelihood
from training.additive.rows import TermRows
from training.additive.smoothing import choose_strengths
from training.additive.solution import Problem, Solution, coefficients_without
from training.additive.sums import Sums
from training.additive.terms import Side

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
        curves, rows = self.curves.curves, self.curves.rows
        rows = rows.with_pairs(rows.terms.with_pairs([measure_pair(rows, *each) for each in pairs]))
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
            if pairs := self._folds.pairs[fold]:
                others = torch.nonzero(self.problem.folds != fold).flatten()
                fitted = self.curves.rows.take(others)
                fitted = fitted.with_pairs(fitted.terms.with_pairs(pairs))
                coefficients = self._fit_again(fold, fitted, *self.problem.part(others), coefficients)
                rows = rows.with_pairs(fitted.terms)
            answers[left_out] = rows.answers(coefficients)
        return answers

    def _fit_again(
        self, fold: int, rows: TermRows, targets: Tensor, weights: Tensor | None, coefficients: Tensor
    ) -> Tensor:
        """The coefficients for the rows of all other folds, from those of the curves alone."""
        start, family = _start(rows, coefficients, self.curves.curves, self._known), self.problem.family
        way, found = Descent(rows, family, targets, weights, start.coefficients), list[tuple[Vector, Chosen]]()
        for output, place in enumerate(start.log_strengths):
            gram = self._folds.gram(fold, output)
            sums = way.sums(output) if gram is None else way.sums_with(gram, output)
            found.append(choose_strengths(self._scoring(rows)(sums), place, _STEPS))
        chosen = Curves(start.coefficients, tuple(place for place, _ in found), tuple(each for _, each in found))
        if family.is_quadratic:
            return torch.stack([each.coefficients for each in chosen.chosen], dim=1)
        return fit_again(rows, family, targets, weights, chosen)

    @cached_property
    def _folds(self) -> Folds:
        """The pairs of each fit without a fold, and sums over the rows of each fold."""
        choices = [self._evidence.fitting(self.count, self.room, fold) for fold in range(self.problem.count_folds)]
        return Folds.of(self.curves.rows, self.whole, self.problem, choices)

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
            dict(zip([pair.names for pair in pairs], np.split(place[fixed:], ends), strict=True)) if pairs else {}
            for place in self.whole.curves.log_strengths
        )


def _start(
    rows: TermRows, coefficients: Tensor, curves: Curves, known: Sequence[Mapping[tuple[str, str], Vector]]
) -> Curves:
    """Curves as they are, with pairs of 0 whose λs are known or 1."""
    nothing = coefficients.new_zeros(rows.coefficients - len(coefficients), coefficients.shape[1])
    places = []
    for output, place in enumerate(curves.log_strengths):
        own = known[output] if known else {}
        pairs = [own.get(pair.names, np.zeros(len(pair.widths))) for pair in rows.terms.pairs]
        places.append(np.concatenate([place, *pairs]))
    return Curves(torch.cat([coefficients, nothing]), tuple(places), ())
