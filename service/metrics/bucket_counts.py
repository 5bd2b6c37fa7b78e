"""How often a number of which size came: noted at once, sorted into buckets when somebody looks."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Sorting so many at once costs 0.1 µs a number; more would be memory for nothing.
_MOST_KEPT = 1024


@dataclass(frozen=True)
class Snapshot:
    """What a tally holds.

    Attributes:
        counts: [buckets + 1], how many numbers are in each bucket and in no lower one; the last has no bound.
        total: Their sum.
    """

    counts: NDArray[np.int64]
    total: float

    @property
    def count(self) -> int:
        """How many numbers were noted."""
        return int(self.counts.sum())

    def plus(self, other: "Snapshot") -> "Snapshot":
        """Both together; of the same buckets."""
        return Snapshot(self.counts + other.counts, self.total + other.total)


def sorted_into(bounds: Sequence[float], numbers: Sequence[float], times: Sequence[int]) -> Snapshot:
    """What a tally of these bounds would hold, had it been given each number so many times."""
    numbers_, times_ = np.array(numbers, np.float64), np.array(times, np.int64)
    counts = np.zeros(len(bounds) + 1, np.int64)
    np.add.at(counts, np.searchsorted(bounds, numbers_), times_)
    return Snapshot(counts, float(numbers_ @ times_))


class BucketCounts:
    """Numbers in buckets. For any thread; whoever notes one never waits for whoever reads.

    Args:
        bounds: Upper bounds of the buckets, ascending; a number that is a bound is in its bucket.
    """

    __slots__ = ("_bounds", "_counts", "_kept", "_sorting", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = np.array(bounds, np.float64)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._total = 0.0
        self._kept: deque[float] = deque()
        self._sorting = threading.Lock()

    def note(self, number: float) -> None:
        """Count a number."""
        self._kept.append(number)
        # Not where somebody reads: who reads sorts what is kept.
        if len(self._kept) >= _MOST_KEPT and self._sorting.acquire(blocking=False):
            try:
                self._sort()
            finally:
                self._sorting.release()

    def read(self) -> Snapshot:
        """All numbers noted so far."""
        with self._sorting:
            self._sort()
            return Snapshot(self._counts.copy(), self._total)

    def _sort(self) -> None:
        """Put what is kept into its buckets."""
        numbers = np.array([self._kept.popleft() for _ in range(len(self._kept))], np.float64)
        self._counts += np.bincount(np.searchsorted(self._bounds, numbers), minlength=len(self._counts))
        self._total += float(numbers.sum())
