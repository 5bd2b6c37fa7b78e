"""The score that a share of new scores will not pass, with the correction for a finite number of rows."""

import math

import numpy as np

from training.data.encoding import Numbers

# A product such as 0.9 · 110 must not pass a whole number by rounding.
_DIGITS = 9


def conformal_quantile(scores: Numbers, coverage: float) -> Numbers:
    """For each output the score of rank ⌈(n + 1) · coverage⌉; infinite if there are fewer scores.

    A new score, exchangeable with these, is at most this large with a probability of ``coverage`` or more.

    Args:
        scores: ``[n, outputs]``.
        coverage: Between 0 and 1.

    Source: Vovk, Gammerman and Shafer, Algorithmic learning in a random world (2005).
    """
    rank = max(1, math.ceil(round((len(scores) + 1) * coverage, _DIGITS)))
    if rank > len(scores):
        return np.full(scores.shape[1], np.inf)
    found: Numbers = np.partition(scores, rank - 1, axis=0)[rank - 1]
    return found


def fewest_rows(coverage: float) -> int:
    """The fewest scores whose conformal quantile is finite: 9 for a coverage of 0.9."""
    return max(1, math.ceil(round(coverage / (1 - coverage), _DIGITS)))
