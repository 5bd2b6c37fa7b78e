"""How good a choice of the λs of pairs is: the restricted likelihood, while the λs of the curves stay.

GCV took 25 to 66 fits where 10 to 20 do here, each at five times the price, for errors that are about the same
(docs/decisions/0015-additive-models.md).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.additive.criterion import Chosen, Criterion, Score, Vector
from training.additive.sums import Sums


@dataclass(frozen=True)
class Likelihood:
    """The score of some λs of a penalised least-squares fit, by the likelihood of the rows if β is random.

    With β normal, of variance σ²/λ, A = XᵀWX + Λ, D = Σ w(z − Xβ)² + Σ λ·β² at β = A⁻¹XᵀWz, n effective rows less the
    constant, and p coefficients that a λ belongs to, −2 times the logarithm of the likelihood is but for a constant

    - n·log D + log|A| − Σ p·log λ, where σ² is unknown ("gcv");
    - D + log|A| − Σ p·log λ, where σ² is 1 ("ubre").

    The score is this number divided by n.

    Attributes:
        sums: Over the rows.
        widths: The number of coefficients of each penalty, as :class:`Criterion` has them.
        kind: What is known of the variance of the noise.
        fixed: So many penalties, the first ones, stay as they are: their derivatives are 0.

    Source: Wood, Fast stable restricted maximum likelihood and marginal likelihood estimation of semiparametric
    generalized linear models (2011).
    """

    sums: Sums
    widths: tuple[int, ...]
    kind: Score
    fixed: int

    def at(self, log_strengths: Vector) -> Chosen | None:
        """The fit with these log λs; None if there is no finite one."""
        fit = self._fit
        strengths = fit.strengths(log_strengths)
        factor = fit.factor(strengths)
        if factor is None:
            return None
        inverse = torch.cholesky_inverse(factor)
        coefficients = torch.cholesky_solve(self.sums.moment[:, None], factor)[:, 0]
        residual = fit.residual(coefficients)
        costs = strengths * coefficients.square()
        whole, rows = residual + float(costs.sum()), max(self.sums.rows - 1, 1.0)
        if not np.isfinite(whole) or whole <= 0:
            return None
        unknown = self.kind == "gcv"
        score = rows * np.log(whole) if unknown else whole
        score += 2 * float(factor.diagonal().log().sum()) - float(np.dot(self.widths, log_strengths))
        weight = rows / whole if unknown else 1.0
        paid = weight * self._by_penalty(costs.numpy())
        known = self._by_penalty((strengths * inverse.diagonal()).numpy())
        moving = sum(self.widths[self.fixed :])
        own, some = strengths[-moving:], coefficients[-moving:]
        crossed = own[:, None] * own * inverse[-moving:, -moving:]
        gradient = np.zeros(len(self.widths))
        gradient[self.fixed :] = paid + known - np.array(self.widths[self.fixed :])
        hessian = np.zeros((len(gradient), len(gradient)))
        block = np.diag(paid + known) - self._by_two(crossed * inverse[-moving:, -moving:])
        block -= 2 * weight * self._by_two(crossed * some[:, None] * some)
        hessian[self.fixed :, self.fixed :] = block - (np.outer(paid, paid) / rows if unknown else 0.0)
        degrees = float((inverse * self.sums.gram).sum())
        return Chosen(float(score) / rows, coefficients, degrees, gradient / rows, hessian / rows, inverse, residual)

    @cached_property
    def _fit(self) -> Criterion:
        return Criterion(self.sums, self.widths, self.kind)

    def _by_penalty(self, values: NDArray[np.float64]) -> Vector:
        """Sums over the coefficients of each penalty that moves; of the last ones, if there are more."""
        widths = self.widths[self.fixed :]
        starts = len(values) - sum(widths) + np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64)
        return np.add.reduceat(values, starts, axis=0)

    def _by_two(self, values: Tensor) -> Vector:
        """``[penalties, penalties]``: sums of the blocks."""
        return self._by_penalty(self._by_penalty(values.numpy()).T)
