"""Where features have training rows: the filled intervals of their ranges, as float32 numbers that rows compare with.

The edges and counts of all features stand one after another in flat arrays: calls of numpy for each feature would cost
more than its numbers do, and a matrix would be large where one feature has many more cells than the others.
"""

import math
from array import array
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from operator import lt

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import Feature

_Floats = NDArray[np.float32]
_Places = NDArray[np.intp]


def find_boundaries(
    features: Sequence[Feature], low: _Floats, high: _Floats, most: int
) -> tuple[_Floats, tuple[tuple[int, _Floats], ...]]:
    """Where each feature changes from unknown to known or back.

    The boundaries of a feature are -inf, from where on it is unknown, then its intervals in order. A value is in an
    interval if it is at least its first number and below its second. numpy warns of edges beyond float32, unless the
    caller turns that off.

    Args:
        features: At least one. Their histograms have the intervals; a feature without one is known in its range.
        low: float32 [features], the smallest training values.
        high: float32 [features], the largest ones.
        most: Most boundaries of a feature in the matrix.

    Returns:
        The matrix, float32 [boundaries, 1, features], filled up with inf; of features with more boundaries it has only
        the first. Then the place of each such feature with all its boundaries, float32 [1 + 2 * intervals].
    """
    edges, counts, starts = _read_histograms(features)
    numbers = _round(edges, starts[:-1], starts[1:] - 1)
    # Between the cells of two features stands one without rows. So edge i lies between the cells i and i + 1.
    is_filled = counts > 0
    changes = np.flatnonzero(is_filled[1:] != is_filled[:-1])
    ends, own = numbers[changes].tolist(), np.searchsorted(changes, starts).tolist()
    beyond = np.nextafter(high, np.float32(np.inf))
    found = [
        _join(ends[begin:end], *limits)
        for (begin, end), *limits in zip(pairwise(own), low.tolist(), beyond.tolist(), strict=True)
    ]
    usual = [each if len(each) <= most else each[:1] for each in found]
    matrix = np.array(list(zip_longest(*usual, fillvalue=math.inf)), np.float32)[:, np.newaxis]
    return matrix, tuple((place, np.array(each, np.float32)) for place, each in enumerate(found) if len(each) > most)


def _read_histograms(features: Sequence[Feature]) -> tuple[NDArray[np.float64], NDArray[np.int64], _Places]:
    """The edges of all features, their counts with a 0 before and after each feature's, and where its edges start.

    A feature has one cell, its range, if it has no histogram, or one that training does not write: without rows, with
    edges that do not ascend, or with numbers of edges and counts that do not fit.
    """
    all_edges, all_counts, starts = array("d"), array("q", [0]), [0]
    for feature in features:
        histogram = feature.histogram
        edges, counts = histogram.edges[:], histogram.counts[:]
        if len(edges) != len(counts) + 1 or max(counts, default=0) <= 0 or not all(map(lt, edges, edges[1:])):
            edges, counts = [feature.low, feature.high], [1]
        all_edges.fromlist(edges)
        all_counts.fromlist(counts)
        all_counts.append(0)
        starts.append(len(all_edges))
    return np.frombuffer(all_edges, np.float64), np.frombuffer(all_counts, np.int64), np.array(starts)


def _round(edges: NDArray[np.float64], firsts: _Places, lasts: _Places) -> _Floats:
    """The smallest float32 that is not below the edge: for a float32 value, `value >= edge` is then the same."""
    near = edges.astype(np.float32)
    above = np.nextafter(near, np.float32(np.inf))
    numbers = np.where(near < edges, above, near)
    # The ends are rounded as the training rows are. The last cell holds its upper edge.
    numbers[firsts], numbers[lasts] = near[firsts], above[lasts]
    return numbers


def _join(intervals: list[float], low: float, beyond: float) -> list[float]:
    """The boundaries of a feature from its intervals: those that touch become one, and all end with the range."""
    joined = intervals[:2]
    for first, end in zip(intervals[2::2], intervals[3::2], strict=True):
        if joined[-1] == first:  # no float32 lies in the cells between them
            joined[-1] = end
        else:
            joined += first, end
    found = [-math.inf]
    for first, end in zip(joined[::2], joined[1::2], strict=True):
        first, end = max(first, low), min(end, beyond)
        if first < end:
            found += first, end
    return found
