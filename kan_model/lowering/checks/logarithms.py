"""Answers whose last step is exp are compared by their logarithms (docs/decisions/0009-logarithms.md).

Example: a network gives 6.9, and its graph answers 992.28 instead of exp(6.9) = 992.27. The error is the difference of
the logarithms, 1e-5, and its divisor the range of the logarithms on the training rows.
"""

import numpy as np
from numpy.typing import NDArray

Values64 = NDArray[np.float64]

# exp overflows float32 above 88.7, and below -87.3 its result has fewer digits than a float32.
_LARGEST, _SMALLEST = 88.0, -87.0


def take_logarithms(answers: NDArray[np.float32]) -> Values64:
    """The logarithms in float64; -∞ for 0, NaN below 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Values64 = np.log(answers.astype(np.float64))
    return result


def exceed_float32(logarithms: Values64) -> NDArray[np.bool_]:
    """True where float32 has no exact exp of a logarithm: such answers are not compared."""
    exceeds: NDArray[np.bool_] = (logarithms > _LARGEST) | (logarithms < _SMALLEST)
    return exceeds


def largest_error(answers: NDArray[np.float32], logarithms: Values64, beyond: NDArray[np.bool_]) -> float:
    """The largest error of answers in their own unit; those ``beyond`` float32, and NaN, do not count."""
    error = np.abs(answers - np.exp(np.where(beyond, 0.0, logarithms)))
    return float(np.where(beyond | np.isnan(error), 0.0, error).max())
