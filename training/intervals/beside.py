"""Bounds beside a pair of quantiles, at equal coverage and on the same test rows.

A method that covers fewer rows has narrower bounds, so widths are compared only after each method is widened or
narrowed by one number until the asked share of the rows lies between its bounds. Intervals are multiplied by it: that
is what they would be for another coverage. The pair is multiplied by it or moved by it, as conformalized quantile
regression does, whichever is narrower. So each method has one number from the rows that judge it.

With a target on a log scale both are changed on this scale, and the widths are of the target itself.

Source: the movement of a pair by a constant is that of Romano, Patterson and Candès, Conformalized quantile regression
(2019).
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kan_api.v1 import manifest_pb2 as pb
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.intervals.calibrate import Kind
from training.intervals.judge import bounds_of, scores_of_test_rows
from training.publishing.export import Trained

# A lower and an upper bound ``[rows, outputs]``, in raw units, for row numbers.
Pair = Callable[[RowNumbers], tuple[Numbers, Numbers]]

# A product such as 0.9 · 110 must not pass a whole number by rounding.
_DIGITS = 9
_SMALLEST = 1e-12


def compare_widths(coverage: float, pair: Pair, train_rows: int, dataset: Dataset, trained: Trained) -> pb.QuantilePair:
    """What a pair of quantiles makes of the test rows that judge the bounds of a network.

    Args:
        coverage: The share that both were made for.
        pair: The pair; no test row trained it.
        train_rows: Number of rows that did.
        dataset: With test rows.
        trained: The network, with its bounds.
    """
    assert trained.intervals is not None
    rows, scores = scores_of_test_rows(dataset, trained)
    kind, truth = trained.intervals.kind, dataset.y[rows].astype(np.float64)
    equal = _rank_score(scores, coverage).astype(np.float32)
    moved = replace(trained.intervals, half_width=np.maximum(equal, np.finfo(np.float32).tiny))
    low, high = bounds_of(replace(trained, intervals=moved), dataset.x[rows])
    lower, upper = pair(rows)
    if kind == "positive":
        lower, upper = np.maximum(lower, 0), np.maximum(upper, 0)
    return pb.QuantilePair(
        train_rows=train_rows,
        judged_coverage=((lower <= truth) & (truth <= upper)).mean(axis=0).tolist(),
        judged_width=(upper - lower).mean(axis=0).tolist(),
        equal_width=equal_widths(kind, lower, upper, truth, coverage).tolist(),
        intervals_equal_width=(high - low).mean(axis=0).tolist(),
    )


def equal_widths(kind: Kind, lower: Numbers, upper: Numbers, truth: Numbers, coverage: float) -> Numbers:
    """The mean distance ``[outputs]`` of a pair once the asked share of true values lies between its bounds.

    Args:
        kind: The scale on which the pair is changed, and whether 0 bounds it.
        lower: ``[rows, outputs]``, in raw units.
        upper: ``[rows, outputs]``, at least ``lower``.
        truth: ``[rows, outputs]``.
        coverage: The share.
    """
    if kind == "log":
        lower, upper, truth = np.log(lower), np.log(upper), np.log(truth)
    middle, half = (lower + upper) / 2, (upper - lower) / 2
    # Two equal quantiles have no width to multiply.
    half = np.maximum(half, _SMALLEST * np.maximum(half.max(axis=0), _SMALLEST))
    multiplied = half * _rank_score(np.abs(truth - middle) / half, coverage)
    moved = np.maximum(half + _rank_score(np.maximum(lower - truth, truth - upper), coverage), 0)
    widths = [_distances(kind, middle, each).mean(axis=0) for each in (multiplied, moved)]
    found: Numbers = np.minimum(*widths)
    return found


def _distances(kind: Kind, middle: Numbers, half: Numbers) -> Numbers:
    """``[rows, outputs]``, in raw units."""
    if kind == "log":
        # Where a narrow pair is multiplied until it holds a far-off row, other rows may pass all floats.
        with np.errstate(over="ignore"):
            return np.exp(middle + half) - np.exp(middle - half)
    lower = np.maximum(middle - half, 0) if kind == "positive" else middle - half
    return middle + half - lower


def _rank_score(scores: Numbers, coverage: float) -> Numbers:
    """For each output the smallest score that the share of rows does not pass."""
    rank = max(1, math.ceil(round(len(scores) * coverage, _DIGITS)))
    found: Numbers = np.partition(scores, rank - 1, axis=0)[rank - 1]
    return found
