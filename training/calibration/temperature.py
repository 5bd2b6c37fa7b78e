"""Choose the temperature that divides the scores of classes."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

from training.calibration.estimated import EstimatedNumber
from training.data.encoding import Numbers
from training.data.split import RowNumbers

# Bounds of the temperature. Beyond them scores say nothing of the classes, or the rows are too few to tell.
SMALLEST, LARGEST = 0.05, 20.0
# Fewer rows or groups of equal weight do not tell a temperature from chance; scores stay as they are.
FEWEST_ROWS, FEWEST_GROUPS = 50, 10


@dataclass(frozen=True)
class Temperature:
    """The temperature, and how sure it is.

    Attributes:
        value: To divide by: between 1 and ``best``.
        best: The temperature with the lowest log loss of the rows, from ``SMALLEST`` to ``LARGEST``.
        gain: By how much it lowers that loss, against a temperature of 1.
        error: The standard error of ``gain``.
        rows: The effective number of rows, (Σ w)² / Σ w² (Kish): rows of equal weight that would tell as much.
        groups: Likewise of groups, each with the weight of its rows together; None: rows are independent.
    """

    value: float
    best: float
    gain: float
    error: float
    rows: float
    groups: float | None = None

    @property
    def is_at_bound(self) -> bool:
        """Whether scores are divided, and the best temperature is one of the bounds."""
        return self.value != 1 and self.best in (SMALLEST, LARGEST)

    @property
    def has_few_rows(self) -> bool:
        """Whether the rows are too few for any temperature but 1."""
        return self.rows < FEWEST_ROWS

    @property
    def has_few_groups(self) -> bool:
        """Whether the groups are too few for any temperature but 1."""
        return self.groups is not None and self.groups < FEWEST_GROUPS


def choose_temperature(
    scores: Numbers,
    truth: RowNumbers,
    weights: Numbers | None = None,
    groups: RowNumbers | None = None,
    estimated: EstimatedNumber | None = None,
) -> Temperature:
    """Go from 1 towards the temperature with the lowest log loss, as far as its gain exceeds chance.

    A temperature that is fitted to few rows moves by chance: the loss of new rows then rises. Its gain, a mean of one
    number a row, has a standard error, and

        log T = (1 - (error / (2 · gain))²) · log best,    T = 1 where the gain is at most half an error.

    That is Breiman's non-negative garrote: for z, the distance of 1 / best from 1 in its own standard errors, the gain
    is z / 2 errors, and the factor is 1 - 1 / z². So T = 1 where the distance is below one error, nothing jumps where
    it passes it, and many rows give ``best``. Example: a gain of 0.02 with an error of 0.02 takes 3/4 of the way.

    With 1 - 4 / z², which waits for two errors, scores stayed too uncertain where the distance was one to two errors.
    Over 20 tables of 1,000 rows with known probabilities the log loss then fell by 0.0040. With 1 - 1 / z² it fell
    by 0.0044.

    Args:
        scores: float64 ``[rows, classes]``, before the softmax; two classes or more.
        truth: int64 ``[rows]``, the classes. They need not all occur.
        weights: ``[rows]``, how much each row counts, above 0; None: all alike.
        groups: ``[rows]``, the group of each row; rows of a group are not independent. None: all rows are.
        estimated: A number in the scores that these rows tell; its error is part of that of the gain. None: the scores
            hold none.

    Returns:
        A temperature of 1 where fewer than ``FEWEST_ROWS`` rows, or than ``FEWEST_GROUPS`` groups, count.

    Source: Breiman 1995, "Better Subset Regression Using the Nonnegative Garrote".
    """
    weights = np.ones(len(scores)) if weights is None else weights
    parts = np.arange(len(scores)) if groups is None else np.unique(groups, return_inverse=True)[1]
    effective_groups = None if groups is None else _effective(np.bincount(parts, weights).astype(np.float64))
    kept = Temperature(1.0, 1.0, 0.0, 0.0, _effective(weights), effective_groups)
    if kept.has_few_rows or kept.has_few_groups:
        return kept
    best = fit_temperature(scores, truth, weights)
    gains = row_losses(scores, truth) - row_losses(scores / best, truth)
    gain = float(np.average(gains, weights=weights))
    deviations = gains - gain
    if estimated is not None:
        deviations = deviations + estimated.gain_influences(scores, truth, best, weights)
    error = _standard_error(deviations, weights, parts)
    share = 0.0 if gain <= error / 2 else 1 - (error / (2 * gain)) ** 2
    return replace(kept, value=best**share, best=best, gain=gain, error=error)


def fit_temperature(scores: Numbers, truth: RowNumbers, weights: Numbers | None = None) -> float:
    """The temperature with the lowest log loss.

    The true class of each row counts 1 - ε and the others ε together, with ε = 1 / (rows + 2), as in Platt (1999). So
    rows that are all right, which would be the more likely the colder the scores, give a temperature above 0. With many
    rows ε does not matter. In 1 / T the log loss is convex, so its slope has at most one zero.

    Args:
        scores: float64 ``[rows, classes]``, before the softmax; at least one row.
        truth: int64 ``[rows]``, the classes.
        weights: ``[rows]``, above 0; None: all alike.

    Returns:
        A number from ``SMALLEST`` to ``LARGEST``.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks"; Platt 1999, section 2.2.
    """
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
    return float(np.average(row_losses(scores, truth), weights=weights))


def row_losses(scores: Numbers, truth: RowNumbers) -> Numbers:
    """``[rows]``, -log softmax(scores)[truth] of each."""
    found: Numbers = logsumexp(scores, axis=1) - scores[np.arange(len(scores)), truth]
    return found


def _smooth(classes: int, truth: RowNumbers, rows: int) -> Numbers:
    """``[rows, classes]``: what each class counts in a row."""
    rest = 1 / (rows + 2)
    wanted = np.full((len(truth), classes), rest / (classes - 1))
    wanted[np.arange(len(truth)), truth] = 1 - rest
    return wanted


def _effective(weights: Numbers) -> float:
    """Their number, were they of equal weight: (Σ w)² / Σ w²."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def _standard_error(deviations: Numbers, weights: Numbers, groups: RowNumbers) -> float:
    """Of a weighted mean, from the deviations of rows; those of a group, 0 to G - 1, are added up first.

    The factor G / (G - 1) of its square is there because the mean comes from the same groups.
    """
    summed = np.bincount(groups, weights * deviations)
    return float(np.sqrt((summed**2).sum() * len(summed) / (len(summed) - 1)) / weights.sum())
