"""Where to cut an uneven grid into segments, and which way the power of each knot runs, so that few digits cancel.

A knot's power is weighted by the jump of the spline's last derivative there and grows with the distance to the end that
it runs to. Next to a narrow interval the jumps are large. Example: the intervals 0.001, 0.001 and 2 in one segment.
The power of the knot at 0.002 grows to 2 to the right and to 0.002 to the left. Cubed, that is a factor of 1e9.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.strategies.change_of_basis import edge_coefficients
from kan_model.network.layer import KANLayer

Values = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Cuts:
    """The segments of each input's grid.

    Attributes:
        ends: ``[segments + 1, inputs]``, the first and the last break of each segment: 0 … intervals.
        inner: ``[intervals − segments, inputs]``, the breaks that are no ends, ascending.
    """

    ends: Places
    inner: Places


def even_cuts(intervals: int, segments: int, inputs: int) -> Cuts:
    """Segments of about the same number of intervals."""
    ends = [intervals * i // segments for i in range(segments + 1)]
    return _cuts(np.repeat(np.array(ends)[:, None], inputs, axis=1), intervals)


def cut_by_jumps(layer: KANLayer, breaks: Values, segments: int) -> Cuts:
    """The segments whose powers are smallest: Σ over inner breaks of jump · (distance to the nearer end)^degree.

    Args:
        layer: The layer.
        breaks: ``[intervals + 1, inputs]``, the ends of its intervals inside the domain.
        segments: Number of segments.
    """
    count, inputs = breaks.shape
    jumps = _jumps(layer)
    best = np.full((segments + 1, count, inputs), np.inf)
    before = np.zeros((segments + 1, count, inputs), dtype=np.int64)
    best[0, 0] = 0
    size = np.full((count, count, inputs), np.inf)
    for first in range(count):
        for last in range(first + 1, count):
            inner = slice(first + 1, last)
            way = np.minimum(breaks[inner] - breaks[first], breaks[last] - breaks[inner])
            size[first, last] = (jumps[first : last - 1] * way**layer.degree).sum(axis=0)
    for segment in range(1, segments + 1):
        for last in range(segment, count):
            sums = best[segment - 1, :last] + size[:last, last]
            before[segment, last] = sums.argmin(axis=0)
            best[segment, last] = sums.min(axis=0)
    ends = np.full((segments + 1, inputs), count - 1)
    for segment in range(segments, 0, -1):
        ends[segment - 1] = before[segment, ends[segment], np.arange(inputs)]
    return _cuts(ends, count - 1)


def _cuts(ends: Places, intervals: int) -> Cuts:
    inner = [np.setdiff1d(np.arange(intervals + 1), each) for each in ends.T]
    return Cuts(ends, np.stack(inner, axis=1))


def _jumps(layer: KANLayer) -> Values:
    """By how much the last derivative jumps at each inner break, the largest of all edges: ``[breaks, inputs]``."""
    values, knots = edge_coefficients(layer), layer.all_knots().detach().double().numpy()
    for degree in range(layer.degree, 0, -1):
        values = degree * np.diff(values, axis=-1) / (knots[:, degree + 1 : -1] - knots[:, 1 : -degree - 1])
        knots = knots[:, 1:-1]
    result: Values = np.abs(np.diff(values, axis=-1)).max(axis=0).T
    return result
