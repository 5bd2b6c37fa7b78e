"""Ten known laws of one to three variables, and noisy rows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import sympy
from numpy.typing import NDArray

Values = NDArray[np.float64]
ROWS, VALIDATION_ROWS = 400, 100


@dataclass(frozen=True)
class Law:
    """A function and where its rows are.

    Attributes:
        text: The formula, which sympy reads.
        ranges: The interval of each variable; rows are uniform in it.
    """

    text: str
    ranges: Mapping[str, tuple[float, float]]

    @property
    def names(self) -> list[str]:
        """The variables."""
        return list(self.ranges)

    @property
    def expression(self) -> sympy.Expr:
        """The formula with real symbols."""
        return sympy.sympify(self.text, locals={name: sympy.Symbol(name, real=True) for name in self.names})

    def rows(self, count: int, seed: int) -> Values:
        """Rows ``[count, variables]``."""
        low, high = np.array(list(self.ranges.values())).T
        return np.random.default_rng(seed).uniform(low, high, (count, len(low)))

    def values(self, rows: Values) -> Values:
        """The values ``[count]`` without noise."""
        function = sympy.lambdify(self.names, self.expression, "numpy")
        return np.asarray(function(*rows.T), np.float64)

    def table(self, seed: int, noise: float) -> tuple[Values, Values]:
        """500 rows and their values with normal noise of a share of their standard deviation."""
        rows = self.rows(ROWS + VALIDATION_ROWS, seed)
        values = self.values(rows)
        error = np.random.default_rng(seed + 1000).standard_normal(len(values))
        return rows, values + noise * values.std() * error


_PLAIN = (-1.0, 1.0)
LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.text: law
        for law in (
            Law("a*b", {"a": _PLAIN, "b": _PLAIN}),
            Law("a*sin(b)", {"a": _PLAIN, "b": (-3.0, 3.0)}),
            Law("1/(1 + a*b)", {"a": (0.0, 2.0), "b": (0.0, 2.0)}),
            Law("sqrt(a**2 + b**2)", {"a": (0.5, 2.0), "b": (0.5, 2.0)}),
            Law("exp(-a**2/2)", {"a": (-3.0, 3.0)}),
            Law("a/(1 + b**2)", {"a": _PLAIN, "b": (-2.0, 2.0)}),
            Law("(a + b)/(1 + a*b)", {"a": (-0.9, 0.9), "b": (-0.9, 0.9)}),
            Law("b*log(a)", {"a": (0.5, 3.0), "b": _PLAIN}),
            Law("cos(a) + b*cos(a)**2", {"a": (-3.0, 3.0), "b": _PLAIN}),
            Law("a**2*b - c", {"a": _PLAIN, "b": _PLAIN, "c": _PLAIN}),
        )
    }
)
