"""Newton's method with given λs: coefficients on their way down, with matrices that are kept while they serve."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from training.additive.criterion import Vector, strengths_of
from training.additive.families import Family
from training.additive.rows import TermRows
from training.additive.sums import Sums

_HALVINGS = 10
# A kept matrix serves while each cycle lowers the cost by less than this share of what the cycle before did: what is
# left then is as much as the last fall at most.
_SERVES = 0.5


class Descent:
    """Coefficients, with the scores of the rows.

    The cost is the loss of the rows and ½Σλβ². Its slope by the coefficients of an output is −(Xᵀr − Λβ), where r are
    weights times what is left of the working targets. A step is A⁻¹(Xᵀr − Λβ) for some A: with A = XᵀWX + Λ at these
    scores it is Newton's. Any positive A leads to the same minimum, and XᵀWX costs a hundred times Xᵀr. So an A from
    other scores, or from most of the rows, is kept as long as its steps are about as good.

    Args:
        rows: The rows.
        family: What is minimized.
        y: ``[rows, outputs]``.
        weights: ``[rows]``; None: all 1.
        coefficients: ``[coefficients, outputs]``, to begin with.

    Attributes:
        coefficients: ``[coefficients, outputs]``.

    Source: Ortega and Rheinboldt, Iterative Solution of Nonlinear Equations in Several Variables (1970), section 7.1:
    the simplified Newton method.
    """

    def __init__(self, rows: TermRows, family: Family, y: Tensor, weights: Tensor | None, coefficients: Tensor) -> None:
        self._rows, self._family, self._y = rows, family, y
        self._weights = torch.ones_like(y[:, 0]) if weights is None else weights
        self.coefficients = coefficients
        self._scores = rows.answers(coefficients)

    def sums(self, output: int) -> Sums:
        """Of the working targets of an output."""
        targets, factors = self._family.working(self._scores, self._y, output)
        return self._rows.sums(targets[:, None], self._weights, factors)[0]

    def sums_with(self, gram: Tensor, output: int) -> Sums:
        """The same with another matrix in place of XᵀWX; the slope at these coefficients is that of the rows."""
        residuals, paid = self._residuals(output)
        start = self.coefficients[:, output]
        slope, fitted = self._rows.slopes(residuals), gram @ start
        square = float(start @ fitted + 2 * (start @ slope)) + paid
        return Sums(gram, fitted + slope, square, float(self._weights.sum()))

    @property
    def loss(self) -> float:
        """The sum over the rows."""
        return self._loss_of(self._scores)

    def cost(self, places: Sequence[Vector]) -> float:
        """The sum over the rows, and the penalties with these log λs."""
        return self.loss + sum(self._paid(output, place) for output, place in enumerate(places))

    def step(self, output: int, factor: Tensor, place: Vector) -> None:
        """A step of an output, with the Cholesky factor of A, or as much of it as lowers the cost."""
        start = self.coefficients[:, output]
        slope = self._rows.slopes(self._residuals(output)[0]) - self._strengths(place) * start
        self.move(output, start + torch.cholesky_solve(slope[:, None], factor)[:, 0], place)

    def move(self, output: int, target: Tensor, place: Vector) -> None:
        """Go to other coefficients of an output, or as far towards them as lowers the cost."""
        start, scores, strengths = self.coefficients[:, output], self._scores[:, output], self._strengths(place)
        moved = self._rows.answers(target[:, None])[:, 0]
        before, share = self.loss + self._paid(output, place), 1.0
        for _ in range(_HALVINGS):
            tried = self._scores.clone()
            tried[:, output] = scores + share * (moved - scores)
            coefficients = start + share * (target - start)
            if self._loss_of(tried) + float((strengths * coefficients.square()).sum()) / 2 <= before:
                self._scores = tried
                self.coefficients = self.coefficients.clone()
                self.coefficients[:, output] = coefficients
                return
            share /= 2

    def settle(
        self,
        places: Sequence[Vector],
        factor_of: Callable[[int], Tensor | None],
        tolerance: float,
        cycles: int,
        factors: Sequence[Tensor | None] = (),
    ) -> bool:
        """Step by step down, output by output in turn; whether the last cycle lowered the cost by next to nothing.

        Args:
            places: For each output the log λs.
            factor_of: From the number of an output to the Cholesky factor of its A, made anew; None: there is none.
            tolerance: The steps end when the cost falls by less than this share of it.
            cycles: The most cycles.
            factors: For each output a factor to begin with; None or (): made anew.
        """
        kept = list(factors) or [None] * len(places)
        before, last_fall = self.cost(places), np.inf
        for _ in range(cycles):
            is_new = any(each is None for each in kept)
            for output, place in enumerate(places):
                found = kept[output] = factor_of(output) if kept[output] is None else kept[output]
                if found is not None:
                    self.step(output, found, place)
            after = self.cost(places)
            fall = before - after
            serves = 0 < fall <= _SERVES * last_fall
            if abs(fall) <= tolerance * abs(after) and (is_new or serves):
                return True
            if not serves:
                kept = [None] * len(places)
            before, last_fall = after, fall
        return False

    def _residuals(self, output: int) -> tuple[Tensor, float]:
        """Weights times what is left of the working targets, and the weighted sum of the squares of what is left."""
        targets, factors = self._family.working(self._scores, self._y, output)
        left, weights = targets - self._scores[:, output], self._weights * factors
        return weights * left, float((weights * left.square()).sum())

    def _paid(self, output: int, place: Vector) -> float:
        return float((self._strengths(place) * self.coefficients[:, output].square()).sum()) / 2

    def _strengths(self, place: Vector) -> Tensor:
        return strengths_of(len(self.coefficients), place, self._rows.widths)

    def _loss_of(self, scores: Tensor) -> float:
        return float((self._weights * self._family.losses(scores, self._y)).sum())
