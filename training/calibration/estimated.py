"""What scores owe to one number that the same rows tell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from training.data.encoding import Numbers
from training.data.split import RowNumbers


@dataclass(frozen=True)
class EstimatedNumber:
    """A number c that is estimated from the rows whose scores hold it; its error is one of the scores too.

    Attributes:
        slopes: ``[rows, classes]``, the scores' derivative by c.
        influences: ``[rows]``, how far each row draws c: the error of c is their mean, weighted as the rows are.
    """

    slopes: Numbers
    influences: Numbers

    def only(self, kept: NDArray[np.bool_]) -> "EstimatedNumber":
        """That of the rows for which this is true, bool ``[rows]``."""
        return EstimatedNumber(self.slopes[kept], self.influences[kept])

    def gain_influences(self, scores: Numbers, truth: RowNumbers, temperature: float, weights: Numbers) -> Numbers:
        """``[rows]``, how far each row, through c, draws the mean gain in log loss by a temperature."""
        by_class = softmax(scores, axis=1) - softmax(scores / temperature, axis=1) / temperature
        of_truth = (1 - 1 / temperature) * self.slopes[np.arange(len(truth)), truth]
        slope = float(np.average((by_class * self.slopes).sum(axis=1) - of_truth, weights=weights))
        found: Numbers = slope * self.influences
        return found
