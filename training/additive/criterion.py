"""How good a choice of the λs is: generalised cross-validation and its derivatives, all from sums over the rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.additive.sums import Sums

Vector = NDArray[np.float64]
Score = Literal["gcv", "ubre"]

# A share of the mean diagonal that is added to it: coefficients that no row and no penalty determines become small.
RIDGE = 1e-10
# A residual below this share of the rows' own sum of squares is rounding.
ROUNDING = 1e-14


@dataclass(frozen=True)
class Chosen:
    """A penalised fit, and how good its λs are.

    Attributes:
        score: The logarithm of the GCV score, or the UBRE score, or of the likelihood.
        coefficients: β, ``[coefficients]``.
        gradient: ``[penalties]``, of the score by the log λs.
        hessian: ``[penalties, penalties]``.
        residual: The weighted sum of squares that is left.
        gram: XᵀWX, ``[coefficients, coefficients]``.
        made_factor: Makes the Cholesky factor of XᵀWX + Λ, which a choice that is not taken does not need.
    """

    score: float
    coefficients: Tensor
    gradient: Vector
    hessian: Vector
    residual: float
    gram: Tensor
    made_factor: Callable[[], Tensor]

    @cached_property
    def factor(self) -> Tensor:
        """The Cholesky factor of XᵀWX + Λ."""
        return self.made_factor()

    @cached_property
    def inverse(self) -> Tensor:
        """(XᵀWX + Λ)⁻¹; times the variance of the noise it is the covariance of the coefficients."""
        return torch.cholesky_inverse(self.factor)

    @cached_property
    def degrees(self) -> float:
        """Effective degrees of freedom: the trace of the matrix from targets to answers."""
        return float((self.inverse * self.gram).sum())

    def noise(self, rows: float, kind: Score) -> float:
        """The variance of the noise: 1 for working targets of classes, else as the residual has it."""
        return 1.0 if kind == "ubre" else self.residual / max(rows - self.degrees, 1.0)


@dataclass(frozen=True)
class Criterion:
    """The score of the λs of a penalised least-squares fit.

    Penalty k is λₖ·|β|² of a block of neighbouring coefficients. With Λ the diagonal matrix of all λs, A = XᵀWX + Λ,
    β = A⁻¹XᵀWz, the residual R = Σ w(z − Xβ)², n effective rows and e = tr(A⁻¹XᵀWX):

    - GCV:  n·R / (n − γe)²; the noise has an unknown variance;
    - UBRE: R/n + 2γe/n; the noise has variance 1, as the working targets of classes have.

    Attributes:
        sums: Over the rows.
        widths: The number of coefficients of each penalty. The blocks lie side by side, the last one at the end;
            coefficients before the first block are free.
        kind: Which score.
        gamma: γ, how much a degree of freedom counts; above 1 against curves that follow the noise.

    Source: Craven and Wahba, Smoothing noisy data with spline functions (1979); γ: Kim and Gu, Smoothing spline
    Gaussian regression: more scalable computation via efficient approximation (2004).
    """

    sums: Sums
    widths: tuple[int, ...]
    kind: Score = "gcv"
    gamma: float = 1.4

    def at(self, log_strengths: Vector) -> Chosen | None:
        """The fit with these log λs; None if they leave more degrees of freedom than rows, or no finite fit."""
        gram, rows, gamma = self.sums.gram, self.sums.rows, self.gamma
        strengths = self._strengths(log_strengths)
        factor = self._factor(strengths)
        if factor is None:
            return None
        inverse = torch.cholesky_inverse(factor)
        coefficients = torch.cholesky_solve(self.sums.moment[:, None], factor)[:, 0]
        degrees = float((inverse * gram).sum())
        residual = max(self.sums.residual(coefficients), ROUNDING * self.sums.square)
        left = rows - gamma * degrees
        if not np.isfinite(residual) or (self.kind == "gcv" and (left <= 0 or residual <= 0)):
            return None
        less, fewer, less_twice, fewer_twice = self._derivatives(inverse, coefficients, log_strengths)
        if self.kind == "ubre":
            score = (residual + 2 * gamma * degrees) / rows
            gradient, hessian = (less + 2 * gamma * fewer) / rows, (less_twice + 2 * gamma * fewer_twice) / rows
        else:
            score = float(np.log(rows * residual) - 2 * np.log(left))
            down, up = less / residual, gamma * fewer / left
            gradient = down + 2 * up
            hessian = less_twice / residual - np.outer(down, down)
            hessian += 2 * gamma * fewer_twice / left + 2 * np.outer(up, up)
        return Chosen(score, coefficients, gradient, hessian, residual, gram, partial(_known, factor))

    def fit(self, log_strengths: Vector) -> Tensor | None:
        """The coefficients with these log λs; None if there are no finite ones."""
        factor = self.factor(log_strengths)
        return None if factor is None else torch.cholesky_solve(self.sums.moment[:, None], factor)[:, 0]

    def factor(self, log_strengths: Vector) -> Tensor | None:
        """The Cholesky factor of XᵀWX + Λ; None if there is none."""
        return self._factor(self._strengths(log_strengths))

    def _strengths(self, log_strengths: Vector) -> Tensor:
        return strengths_of(len(self.sums.moment), log_strengths, self.widths)

    @property
    def _ridge(self) -> float:
        return RIDGE * float(self.sums.gram.diagonal().mean())

    def _factor(self, strengths: Tensor) -> Tensor | None:
        matrix = self.sums.gram.clone()
        matrix.diagonal().add_(strengths + self._ridge)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        return None if failed else factor

    def _derivatives(
        self, inverse: Tensor, coefficients: Tensor, log_strengths: Vector
    ) -> tuple[Vector, Vector, Vector, Vector]:
        """∂R, ∂e, ∂²R and ∂²e by the log λs.

        With Λₖ the part of Λ that belongs to penalty k, Mₖ = A⁻¹Λₖ and F = A⁻¹XᵀWX:

        - ∂e/∂ρₖ = −tr(MₖF), ∂²e/∂ρⱼ∂ρₖ = 2·tr(MⱼMₖF) − δⱼₖ·tr(MₖF);
        - ∂β/∂ρₖ = −Mₖβ, and R is a quadratic function of β.

        A⁻¹XᵀWXA⁻¹ is A⁻¹ − A⁻¹ΛA⁻¹, which is one matrix product.
        """
        each, strengths = np.exp(log_strengths), self._strengths(log_strengths)
        root = inverse * (strengths + self._ridge).sqrt()
        within = torch.addmm(inverse, root, root.T, alpha=-1.0)
        own = each * self._by_penalty(within.diagonal().numpy())
        crossed = self._by_penalty(self._by_penalty((inverse * within).numpy()).T) * each[:, None] * each
        steps = -inverse @ self._columns(strengths * coefficients)
        slope = self.sums.gram @ coefficients - self.sums.moment
        less = 2 * (slope @ steps).numpy()
        # The gradient of R times ∂²β, once for each order of the two penalties.
        bent = -self._by_penalty(((strengths * (inverse @ slope))[:, None] * steps).numpy())
        less_twice = 2 * (steps.T @ self.sums.gram @ steps).numpy() + 2 * (bent + bent.T) + np.diag(less)
        return less, -own, less_twice, 2 * crossed - np.diag(own)

    def _columns(self, values: Tensor) -> Tensor:
        """``[coefficients, penalties]``: the numbers of each block as a column."""
        free = len(values) - sum(self.widths)
        owner = np.repeat(np.arange(len(self.widths)), self.widths)
        result = values.new_zeros(len(values), len(self.widths))
        result[torch.arange(free, len(values)), torch.from_numpy(owner)] = values[free:]
        return result

    def _by_penalty(self, values: Vector) -> Vector:
        """Sums of the numbers of each block, along the first axis."""
        if not self.widths:
            return values[:0]
        free = len(self.sums.moment) - sum(self.widths)
        starts = free + np.concatenate([[0], np.cumsum(self.widths)[:-1]]).astype(np.int64)
        return np.add.reduceat(values, starts, axis=0)


def strengths_of(count: int, log_strengths: Vector, widths: tuple[int, ...]) -> Tensor:
    """``[count]``: the λ of each coefficient, 0 of those before the first penalty."""
    strengths = np.repeat(np.exp(log_strengths), widths)
    return torch.from_numpy(np.concatenate([np.zeros(count - len(strengths)), strengths]))


def _known(factor: Tensor) -> Tensor:
    """The factor itself. Not a lambda, since fits are pickled."""
    return factor
