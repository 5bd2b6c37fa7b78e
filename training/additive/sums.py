"""What a penalised fit needs of the rows: sums over them, whose size does not depend on their number.

Weights are on the scale that the choice of the λs needs: their sum is the effective number of rows.
"""

from dataclasses import dataclass

from torch import Tensor

# So few rows leave a degree of freedom beside the constant.
_FEWEST = 2.0


@dataclass(frozen=True)
class Sums:
    """The weighted sum of squares Σ w·(z − Xβ)² as a quadratic function of the coefficients β.

    Attributes:
        gram: XᵀWX, ``[coefficients, coefficients]``.
        moment: XᵀWz, ``[coefficients]``.
        square: zᵀWz.
        rows: The effective number of rows: the sum of their weights, without the factors of a Newton step.
    """

    gram: Tensor
    moment: Tensor
    square: float
    rows: float

    def together(self, others: "Sums") -> "Sums":
        """The sums over these rows and others."""
        return Sums(
            self.gram + others.gram, self.moment + others.moment, self.square + others.square, self.rows + others.rows
        )

    def residual(self, coefficients: Tensor) -> float:
        """The weighted sum of squares with these coefficients."""
        fitted = self.gram @ coefficients
        return float(self.square - 2 * (coefficients @ self.moment) + coefficients @ fitted)


def scale_weights(weights: Tensor) -> Tensor:
    """The weights, scaled so that their sum is the effective number of rows, (Σw)² / Σw².

    A weighted sum over rows with a noise of variance σ² varies by σ²·Σw². On this scale Σw = Σw², so XᵀWX says how much
    the rows know, as it does for rows that all count 1. Example: 60 rows of weight 5 and 600 rows of weight 0 become 60
    rows of weight 1 and 600 of weight 0: 60 rows in effect.

    Args:
        weights: ``[rows]``, 0 or more, one of them above 0.

    Returns:
        ``[rows]``. One heavy row counts as 2 rows, so that there is a score to compare.

    Source: Kish, Survey Sampling (1965), section 8.2.
    """
    total = weights.sum()
    return weights * ((total / weights.square().sum()).clamp(min=_FEWEST / total))
