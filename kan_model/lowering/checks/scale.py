"""What errors of a graph are relative to."""

import numpy as np
from numpy.typing import NDArray

from kan_model.network.transform import OutputTransform, Softmax

Values = NDArray[np.float64]


def scale_of_errors(outputs: OutputTransform | None, answers: Values) -> Values:
    """What errors of ``answers`` [rows, outputs] are relative to: ``[outputs]``, each above 0.

    The range of the answers, but never less than the unit that they are read in: 1 for a probability, the target's
    standard deviation for a number. A class that is never likely, or a network that learned a constant, has hardly a
    range (docs/decisions/0003-scale-of-errors.md). Where no unit is known, a constant is its own.
    """
    # Of numbers alone: one row on a pole, or beyond the end of a logarithm, says nothing of the others.
    answers = np.where(np.isfinite(answers).any(axis=0), answers, 0.0)
    answers = np.where(np.isfinite(answers), answers, np.nan)
    extent: Values = np.nanmax(answers, axis=0) - np.nanmin(answers, axis=0)
    if isinstance(outputs, Softmax):
        return np.maximum(extent, 1.0)
    if outputs is not None:
        return np.maximum(extent, np.abs(outputs.scale.astype(np.float64)))
    size = np.nanmax(np.abs(answers), axis=0)
    # Less than float32 can tell apart is what rounding leaves of a constant, not a range.
    return np.where(extent > np.finfo(np.float32).eps * size, extent, np.where(size > 0, size, 1.0))
