"""What a penalised fit needs of the rows: sums over them, whose size does not depend on their number."""

from dataclasses import dataclass

from torch import Tensor


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
