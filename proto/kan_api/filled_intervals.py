"""Where a feature has training rows: the filled intervals of its range, as float32 numbers that rows compare with."""

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import Feature, Histogram


def find_boundaries(feature: Feature, low: np.float32, high: np.float32) -> NDArray[np.float32]:
    """Where a feature changes from unknown to known or back.

    Args:
        feature: Has the histogram.
        low: The smallest training value as float32.
        high: The largest one.

    Returns:
        float32 [1 + 2 * intervals]: -inf, from where on it is unknown, then the intervals in order. A value is in an
        interval if it is at least its first number and below its second.
    """
    beyond = np.nextafter(high, np.float32(np.inf))
    found = [np.float32(-np.inf)]
    for first, end in _filled_intervals(feature.histogram) or ((low, beyond),):
        first, end = max(first, low), min(end, beyond)
        if first < end:
            found += [first, end]
    return np.array(found, np.float32)


def _filled_intervals(histogram: Histogram) -> list[tuple[np.float32, np.float32]]:
    """The intervals [first, end) of neighbouring cells with training rows; none if there is no histogram."""
    counts, edges = list(histogram.counts), np.array(histogram.edges)
    # Training writes no such manifest.
    if len(edges) != len(counts) + 1 or not (np.diff(edges) > 0).all():
        return []
    # The smallest float32 that is not below the edge: for a float32 value, `value >= edge` is then the same.
    firsts = edges.astype(np.float32)
    firsts = np.where(firsts < edges, np.nextafter(firsts, np.float32(np.inf)), firsts)
    # The ends are rounded as the training rows are. The last cell holds its upper edge.
    firsts[0] = np.float32(edges[0])
    firsts[-1] = np.nextafter(np.float32(edges[-1]), np.float32(np.inf))
    found: list[tuple[np.float32, np.float32]] = []
    for count, first, end in zip(counts, firsts[:-1], firsts[1:], strict=True):
        if count <= 0:
            continue
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], end)
        else:
            found.append((first, end))
    return found
