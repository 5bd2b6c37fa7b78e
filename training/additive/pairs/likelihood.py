"""How good a choice of the λs of pairs is: the restricted likelihood, while the λs of the curves stay.

GCV took 25 to 66 fits where 10 to 20 do here, each at five times the price, for errors that are about the same
(docs/decisions/0015-additive-models.md).
"""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.additive.criterion import RIDGE, ROUNDING, Chosen, Score, Vector
from training.additive.sums import Sums


@dataclass(frozen=True)
class Likelihood:
    """The score of the λs of a penalised least-squares fit: the likelihood of the rows if β is random.

    With β normal, of variance σ²/λ, A = XᵀWX + Λ, D = Σ w(z − Xβ)² + Σ λ·β² at β = A⁻¹XᵀWz, n effective rows less the
    constant, and p coefficients that a λ belongs to, −2 times the logarithm of the likelihood is but for a constant

    - n·log D + log|A| − Σ p·log λ, where σ² is unknown ("gcv");
    - D + log|A| − Σ p·log λ, where σ² is 1 ("ubre").

    The score is this number divided by n. The curves are eliminated once, so a choice costs the cube of the products.

    Attributes:
        sums: Over the rows.
        widths: The number of coefficients of each penalty, as :class:`Criterion` has them.
        kind: What is known of the variance of the noise.
        fixed: The number of penalties, the first ones, that stay as they are: their derivatives are 0.

    Source: Wood, Fast stable restricted maximum likelihood and marginal likelihood estimation of semiparametric
    generalized linear models (2011).
    """

    sums: Sums
    widths: tuple[int, ...]
    kind: Score
    fixed: int
    # By the λs of the curves: where these give no finite fit, `choose_strengths` raises them too.
    _known: dict[bytes, "_Eliminated | None"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def at(self, log_strengths: Vector) -> Chosen | None:
        """The fit with these log λs; None if there is no finite one."""
        fixed = np.ascontiguousarray(log_strengths[: self.fixed])
        if fixed.tobytes() not in self._known:
            self._known[fixed.tobytes()] = _Eliminated.of(self.sums, self.widths[: self.fixed], fixed, self._products)
        curves = self._known[fixed.tobytes()]
        if curves is None:
            return None
        strengths = torch.from_numpy(np.repeat(np.exp(log_strengths[self.fixed :]), self.widths[self.fixed :]))
        matrix = curves.gram.clone()
        matrix.diagonal().add_(strengths + curves.ridge)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if failed:
            return None
        inverse = torch.cholesky_inverse(factor)
        some = inverse @ curves.moment
        costs = strengths * some.square()
        left = float(curves.square - 2 * (some @ curves.moment) + some @ (curves.gram @ some))
        whole, rows = max(left, ROUNDING * self.sums.square) + float(costs.sum()), max(self.sums.rows - 1, 1.0)
        if not np.isfinite(whole) or whole <= 0:
            return None
        unknown = self.kind == "gcv"
        score = rows * np.log(whole) if unknown else whole
        score += 2 * float(factor.diagonal().log().sum() + curves.factor.diagonal().log().sum())
        score -= float(np.dot(self.widths, log_strengths))
        weight = rows / whole if unknown else 1.0
        paid = weight * self._by_penalty(costs.numpy())
        known = self._by_penalty((strengths * inverse.diagonal()).numpy())
        crossed = strengths[:, None] * strengths * inverse
        gradient = np.zeros(len(self.widths))
        gradient[self.fixed :] = paid + known - np.array(self.widths[self.fixed :])
        hessian = np.zeros((len(gradient), len(gradient)))
        block = np.diag(paid + known) - self._by_two(crossed * inverse)
        block -= 2 * weight * self._by_two(crossed * some[:, None] * some)
        hessian[self.fixed :, self.fixed :] = block - (np.outer(paid, paid) / rows if unknown else 0.0)
        coefficients = torch.cat([curves.beside(some), some])
        residual = max(self.sums.residual(coefficients), ROUNDING * self.sums.square)
        score, gradient, hessian = float(score) / rows, gradient / rows, hessian / rows
        gram, made = self.sums.gram, partial(curves.with_products, factor)
        return Chosen(score, coefficients, gradient, hessian, residual, gram, made)

    @property
    def _products(self) -> int:
        """The number of coefficients of the penalties that move."""
        return sum(self.widths[self.fixed :])

    def _by_penalty(self, values: NDArray[np.float64]) -> Vector:
        """Sums over the coefficients of each penalty that moves."""
        widths = self.widths[self.fixed :]
        starts = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64)
        return np.add.reduceat(values, starts, axis=0)

    def _by_two(self, values: Tensor) -> Vector:
        """``[penalties, penalties]``: sums of the blocks."""
        return self._by_penalty(self._by_penalty(values.numpy()).T)


@dataclass(frozen=True)
class _Eliminated:
    """The sums over the rows of what curves with fixed λs leave to the products: the Schur complement.

    Attributes:
        gram: ``[products, products]``.
        moment: ``[products]``.
        square: Of the targets, less what curves alone explain.
        factor: The Cholesky factor of the curves.
        solved: This factor's inverse times the curves' part of XᵀWz.
        across: ``[products, coefficients of curves]``, the lower left part of the factor of all.
        ridge: What is added to the diagonal.
    """

    gram: Tensor
    moment: Tensor
    square: float
    factor: Tensor
    solved: Tensor
    across: Tensor
    ridge: float

    @classmethod
    def of(cls, sums: Sums, widths: tuple[int, ...], log_strengths: Vector, products: int) -> "_Eliminated | None":
        """Of sums whose last coefficients are the products; None if the curves have no finite fit."""
        first = len(sums.moment) - products
        ridge = RIDGE * float(sums.gram.diagonal().mean())
        own, penalised = sums.gram[:first, :first].clone(), sum(widths)
        own.diagonal().add_(ridge)
        own.diagonal()[first - penalised :].add_(torch.from_numpy(np.repeat(np.exp(log_strengths), widths)))
        factor, failed = torch.linalg.cholesky_ex(own)
        if failed:
            return None
        across = torch.linalg.solve_triangular(factor, sums.gram[:first, first:], upper=False).T.contiguous()
        moment = torch.linalg.solve_triangular(factor, sums.moment[:first, None], upper=False)[:, 0]
        return cls(
            sums.gram[first:, first:] - across @ across.T,
            sums.moment[first:] - across @ moment,
            sums.square - float(moment.square().sum()),
            factor,
            moment,
            across,
            ridge,
        )

    def beside(self, products: Tensor) -> Tensor:
        """The coefficients of the curves beside those of the products."""
        left = self.solved - self.across.T @ products
        found: Tensor = torch.linalg.solve_triangular(self.factor.T, left[:, None], upper=True)[:, 0]
        return found

    def with_products(self, factor: Tensor) -> Tensor:
        """The Cholesky factor of all coefficients, from that of the products."""
        return torch.cat(
            [
                torch.cat([self.factor, self.factor.new_zeros(len(self.factor), len(factor))], dim=1),
                torch.cat([self.across, factor], dim=1),
            ]
        )
