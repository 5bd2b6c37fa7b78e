"""The divisor that turns errors of a graph into relative errors."""

import numpy as np
from numpy.typing import NDArray

from kan_model.network.transform import OutputTransform, Softmax

Values = NDArray[np.float64]


def scale_of_errors(outputs: OutputTransform | None, answers: Values) -> Values:
    """The divisor of each output's errors, for ``answers`` [rows, outputs]: ``[outputs]``, each above 0.

    It is the range of the answers, but at least the unit of the output: 1 for a probability, the target's standard
    deviation for a regression. Without this minimum the range could be almost 0, for example for a class that is never
    likely (docs/decisions/0003-scale-of-errors.md). If no unit is known, the divisor of a constant output is its value.
    """
    # NaN and infinities are ignored: a row on a pole must not affect the scale of the others.
    answers = np.where(np.isfinite(answers).any(axis=0), answers, 0.0)
    answers = np.where(np.isfinite(answers), answers, np.nan)
    extent: Values = np.nanmax(answers, axis=0) - np.nanmin(answers, axis=0)
    if isinstance(outputs, Softmax):
        return np.maximum(extent, 1.0)
    if outputs is not None:
        return np.maximum(extent, np.abs(outputs.scale.astype(np.float64)))
    size = np.nanmax(np.abs(answers), axis=0)
    # An output that varies by less than the resolution of float32 is a constant with rounding errors.
    return np.where(extent > np.finfo(np.float32).eps * size, extent, np.where(size > 0, size, 1.0))
