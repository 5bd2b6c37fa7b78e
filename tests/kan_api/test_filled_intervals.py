"""The boundaries of known ground are, bit by bit, those of a slow reading of each histogram, cell by cell."""

import math
import tracemalloc
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from kan_api.filled_intervals import find_boundaries
from kan_api.v1.manifest_pb2 import Feature, Histogram

Floats = NDArray[np.float32]

INFINITY = np.float32(np.inf)
MOST_FLOAT32 = float(np.finfo(np.float32).max)
# Zeros, numbers that no float32 holds, neighbours within one float32, and the smallest ones.
NEAR_ONE = [1.0, 1 + 1e-9, 1 + 2e-9, 1 + 2**-24, 1 + 2**-23]
ODD = [0.0, math.nan, math.inf, 1e39, 1e308, MOST_FLOAT32, *NEAR_ONE, 2.0, 0.1, 1e-45, 1e-46, 5e-324]


def any_number(draw: Random) -> float:
    """A float64."""
    return draw.choice([0.0, draw.choice(ODD), draw.choice(ODD), draw.gauss(0, 1)]) * draw.choice([-1, 1])


def any_edges(draw: Random) -> list[float]:
    """Ascending ones as training writes them, others that lie closer together than float32 numbers, and any numbers."""
    cells = draw.choice([0, 1, 2, 5, 14])
    numbers = [any_number(draw) for _ in range(cells + 1)]
    first, step = draw.choice([0.0, 1.0, -1e-45, 3.4e38, -0.7]), draw.choice([0.1, 1.0, 1e-8, 1e-9, 1e-46, 1e31])
    even = [first + step * place for place in range(cells + 1)]
    return draw.choice([even, even, sorted(set(numbers)), numbers])


def any_feature(draw: Random) -> Feature:
    """One that training may write, or one that it never writes."""
    edges = any_edges(draw)
    cells = draw.choice([len(edges) - 1] * 9 + [draw.randrange(6)])
    some = draw.choice([[7], [0, 7], [0, 0, 0, 7], [-1, 0, 1, 2**62], [0, -1]])
    ends = [edges[0], edges[-1], *draw.choices([any_number(draw), *edges], k=2)]
    low, high = draw.choice([ends[:2], ends[:2], ends[2:], sorted(ends[2:])])
    histogram = Histogram(edges=edges, counts=draw.choices(some, k=cells))
    return Feature(low=low, high=high, histogram=draw.choice([None, *[histogram] * 5]))


def slow_cells(histogram: Histogram) -> list[tuple[np.float32, np.float32]]:
    """For each cell with training rows its first float32 number and the first one beyond it."""
    edges, counts = list(histogram.edges), list(histogram.counts)
    if len(edges) != len(counts) + 1 or not all(one < next_one for one, next_one in pairwise(edges)):
        return []

    def up(edge: float) -> np.float32:
        near = np.float32(edge)
        return near if float(near) >= edge else np.nextafter(near, INFINITY)

    firsts = [np.float32(edges[0]), *map(up, edges[1:-1])]
    ends = [*map(up, edges[1:-1]), np.nextafter(np.float32(edges[-1]), INFINITY)]
    return [(firsts[place], ends[place]) for place, count in enumerate(counts) if count > 0]


def slow_boundaries(feature: Feature) -> list[np.float32]:
    """Those of one feature, one after another."""
    low, beyond = np.float32(feature.low), np.nextafter(np.float32(feature.high), INFINITY)
    intervals: list[tuple[np.float32, np.float32]] = []
    for first, end in slow_cells(feature.histogram) or [(low, beyond)]:
        if intervals and intervals[-1][1] == first:
            first = intervals.pop()[0]
        intervals.append((first, end))
    found = [-INFINITY]
    for first, end in intervals:
        inside = low if low > first else first, beyond if beyond < end else end
        if inside[0] < inside[1]:
            found += inside
    return found


def ranges(features: list[Feature]) -> tuple[Floats, Floats]:
    """Low and high of the features."""
    low, high = [feature.low for feature in features], [feature.high for feature in features]
    return np.array(low).astype(np.float32), np.array(high).astype(np.float32)


@pytest.mark.parametrize("most", [3, 5, 64])
@np.errstate(all="ignore")
def test_boundaries_are_those_of_the_slow_reading(most: int) -> None:
    """Whatever histograms and ranges are. The arrays are compared as bytes, so that zeros keep their signs."""
    draw = Random(most)
    for _ in range(1000):
        features = [any_feature(draw) for _ in range(draw.randint(1, 6))]
        matrix, long = find_boundaries(features, *ranges(features), most)
        wanted = list(map(slow_boundaries, features))
        usual = [each if len(each) <= most else each[:1] for each in wanted]
        filled = [each + [INFINITY] * (max(map(len, usual)) - len(each)) for each in usual]
        assert matrix.shape == (len(filled[0]), 1, len(features))
        assert matrix.dtype == np.float32
        assert matrix[:, 0].T.tobytes() == np.array(filled, np.float32).tobytes()
        assert [place for place, _ in long] == [place for place, each in enumerate(wanted) if len(each) > most]
        for place, boundaries in long:
            assert boundaries.dtype == np.float32
            assert boundaries.tobytes() == np.array(wanted[place]).tobytes()


@pytest.mark.parametrize("cells", [1, 100_000])
def test_memory_follows_the_numbers_of_the_manifest(cells: int) -> None:
    """A matrix of 5,000 features by 100,000 cells would take gigabytes; all 115,000 edges take less than a megabyte."""
    features = [Feature(high=2, histogram=Histogram(edges=[0, 1, 2], counts=[1, 1])) for _ in range(5_000)]
    counts = [1, 0] * (cells // 2) or [1]
    features.append(Feature(high=cells, histogram=Histogram(edges=range(cells + 1), counts=counts)))
    low, high = ranges(features)
    tracemalloc.start()
    try:
        matrix, long = find_boundaries(features, low, high, 64)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(matrix) == 3
    assert [len(each) for _, each in long] == [cells + 1] * (cells > 1)
    assert peak_bytes < 16 * 2**20
