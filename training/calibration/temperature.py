"""Fit the temperature that divides the scores of classes."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

from training.data.encoding import Numbers
from training.data.split import RowNumbers

# Bounds of the temperature. Beyond them scores say nothing of the classes, or the rows are too few to tell.
SMALLEST, LARGEST = 0.05, 20.0
# Fewer rows do not tell a temperature from chance; scores stay as they are.
FEWEST_ROWS = 50


def fit_temperature(scores: Numbers, truth: RowNumbers, weights: Numbers | None = None) -> float:
    """The temperature with the lowest log loss.

    The true class of each row counts 1 - ε and the others ε together, with ε = 1 / (rows + 2), as in Platt (1999). So
    rows that are all right, which would be the more likely the colder the scores, give a temperature above 0. With many
    rows ε does not matter. In 1 / T the log loss is convex, so its slope has at most one zero.

    Args:
        scores: float64 ``[rows, classes]``, before the softmax; two classes or more.
        truth: int64 ``[rows]``, the classes. They need not all occur.
        weights: ``[rows]``, how much each row counts; None: all alike.

    Returns:
        A number from ``SMALLEST`` to ``LARGEST``; 1 with fewer than ``FEWEST_ROWS`` rows.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks"; Platt 1999, section 2.2.
    """
    if len(scores) < FEWEST_ROWS:
        return 1.0
    weights = np.ones(len(scores)) if weights is None else weights
    wanted = _smooth(scores.shape[1], truth, len(scores))
    told = (wanted * scores).sum(axis=1)

    def slope(coldness: float) -> float:
        """Of the log loss, by 1 / T."""
        expected = (softmax(coldness * scores, axis=1) * scores).sum(axis=1)
        return float(np.average(expected - told, weights=weights))

    cold, hot = 1 / SMALLEST, 1 / LARGEST
    if slope(cold) <= 0:
        return SMALLEST
    if slope(hot) >= 0:
        return LARGEST
    return 1 / float(brentq(slope, hot, cold, rtol=1e-10))


def log_loss(scores: Numbers, truth: RowNumbers, weights: Numbers | None = None) -> float:
    """The mean of -log softmax(scores)[truth]."""
    each = logsumexp(scores, axis=1) - scores[np.arange(len(scores)), truth]
    return float(np.average(each, weights=weights))


def _smooth(classes: int, truth: RowNumbers, rows: int) -> Numbers:
    """``[rows, classes]``: what each class counts in a row."""
    rest = 1 / (rows + 2)
    wanted = np.full((len(truth), classes), rest / (classes - 1))
    wanted[np.arange(len(truth)), truth] = 1 - rest
    return wanted
