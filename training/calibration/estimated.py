"""A number in the scores that was estimated from the same rows: how its error changes the gain of a temperature."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from training.data.encoding import Numbers
from training.data.split import RowNumbers


@dataclass(frozen=True)
class EstimatedNumber:
    """A number c that scores were computed with, and that was estimated from their rows.

    Attributes:
        slopes: ``[rows, classes]``, the scores' derivative by c.
        influences: ``[rows]``, how far each row draws c: the error of c is their mean, weighted as the rows are.
    """

    slopes: Numbers
    influences: Numbers

    def gain_influences(self, scores: Numbers, truth: RowNumbers, temperature: float, weights: Numbers) -> Numbers:
        """``[rows]``, how far each row, by way of c, draws the mean gain in log loss of a temperature."""
        by_class = softmax(scores, axis=1) - softmax(scores / temperature, axis=1) / temperature
        of_truth = (1 - 1 / temperature) * self.slopes[np.arange(len(truth)), truth]
        slope = float(np.average((by_class * self.slopes).sum(axis=1) - of_truth, weights=weights))
        found: Numbers = slope * self.influences
        return found
