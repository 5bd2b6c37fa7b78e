"""The calibration error: how far the probability of the most probable class is from the share of rows of that class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.encoding import Numbers
from training.data.split import RowNumbers

BINS = 15
# They tell the error by chance to about 2 % of itself.
_DRAWS = 100


@dataclass(frozen=True)
class Confidence:
    """Rows in bins of equal weight, by the probability of their most probable class.

    Attributes:
        told: ``[bins]``, the mean of that probability.
        found: ``[bins]``, the share of rows that are of that class.
        weight: ``[bins]``, the weight of the rows; they add up to 1.
    """

    told: Numbers
    found: Numbers
    weight: Numbers

    @property
    def error(self) -> float:
        """The mean of |told − found| over the rows (expected calibration error, Naeini et al. 2015)."""
        return float((self.weight * np.abs(self.told - self.found)).sum())


def bin_by_confidence(
    probabilities: Numbers, truth: RowNumbers, weights: Numbers | None = None, bins: int = BINS
) -> Confidence:
    """Sort rows by the probability of their most probable class, and cut them into bins of equal weight.

    Rows of the same probability are in one bin, so the order of the rows does not matter.

    Args:
        probabilities: ``[rows, classes]``.
        truth: int64 ``[rows]``, the classes.
        weights: ``[rows]``, how much each row counts; None: all alike.
        bins: Number of bins; empty ones are left out.
    """
    told, found = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    weights = np.ones(len(told)) if weights is None else weights
    places = _places(told, weights, bins)
    weight = np.bincount(places, weights, minlength=bins)
    kept = weight > 0
    means = [np.bincount(places, weights * each, minlength=bins)[kept] / weight[kept] for each in (told, found)]
    return Confidence(means[0], means[1], weight[kept] / weight.sum())


def calibration_error(probabilities: Numbers, truth: RowNumbers, weights: Numbers | None = None) -> float:
    """The expected calibration error over 15 bins of equal weight, as :func:`bin_by_confidence` cuts them."""
    return bin_by_confidence(probabilities, truth, weights).error


def error_by_chance(probabilities: Numbers, weights: Numbers | None = None) -> float:
    """The calibration error that as many rows have on average if these probabilities are right.

    Args:
        probabilities: ``[rows, classes]``; a draw is right with the probability of its most probable class.
        weights: ``[rows]``, how much each row counts; None: all alike.
    """
    told, random = probabilities.max(axis=1), np.random.default_rng(0)
    weights = np.ones(len(told)) if weights is None else weights
    places = _places(told, weights, BINS)
    errors = [
        np.abs(np.bincount(places, weights * (told - (random.random(len(told)) < told)))).sum() for _ in range(_DRAWS)
    ]
    return float(np.mean(errors) / weights.sum())


def _places(told: Numbers, weights: Numbers, bins: int) -> NDArray[np.int64]:
    """The bin of each row: where the middle of the rows of its probability lies in the sorted weight."""
    _, value = np.unique(told, return_inverse=True)
    weight = np.bincount(value, weights)
    middle = np.cumsum(weight) - weight / 2
    places: NDArray[np.int64] = np.minimum((middle / weight.sum() * bins).astype(np.int64), bins - 1)[value]
    return places
