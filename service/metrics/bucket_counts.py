"""A histogram: numbers are recorded quickly, and sorted into buckets later, when they are read."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Sorting this many at once costs 0.1 µs a number. More would use memory and not be faster.
_MOST_KEPT = 1024


@dataclass(frozen=True)
class Snapshot:
    """The content of a BucketCounts at one time.

    Attributes:
        counts: [buckets + 1], how many numbers are in each bucket (not cumulative). The last bucket has no upper bound.
        total: Sum of all numbers.
    """

    counts: NDArray[np.int64]
    total: float

    @property
    def count(self) -> int:
        """How many numbers were recorded."""
        return int(self.counts.sum())

    def plus(self, other: "Snapshot") -> "Snapshot":
        """The sum of two snapshots with the same buckets."""
        return Snapshot(self.counts + other.counts, self.total + other.total)


def sorted_into(bounds: Sequence[float], numbers: Sequence[float], times: Sequence[int]) -> Snapshot:
    """The snapshot of a BucketCounts with these bounds, if numbers[i] had been recorded times[i] times."""
    numbers_, times_ = np.array(numbers, np.float64), np.array(times, np.int64)
    counts = np.zeros(len(bounds) + 1, np.int64)
    np.add.at(counts, np.searchsorted(bounds, numbers_), times_)
    return Snapshot(counts, float(numbers_ @ times_))


class BucketCounts:
    """Counts of numbers in buckets. Any thread may use it; `note` never waits for `read`.

    Args:
        bounds: Upper bounds of the buckets, ascending. A number equal to a bound is in that bucket.

    Attributes:
        keep: Records a number at the lowest cost: an append, never a sort. Its callers call `sort_when_many` as often.
    """

    __slots__ = ("_bounds", "_counts", "_kept", "_sorting", "_total", "keep")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = np.array(bounds, np.float64)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._total = 0.0
        self._kept: deque[float] = deque()
        self.keep: Callable[[float], None] = self._kept.append
        self._sorting = threading.Lock()

    def note(self, number: float) -> None:
        """Record a number."""
        self._kept.append(number)
        if len(self._kept) >= _MOST_KEPT:
            self.sort_when_many()

    def sort_when_many(self) -> None:
        """Sort the kept numbers if they are many."""
        # If the lock is taken, another thread is sorting them already.
        if len(self._kept) >= _MOST_KEPT and self._sorting.acquire(blocking=False):
            try:
                self._sort()
            finally:
                self._sorting.release()

    def read(self) -> Snapshot:
        """All numbers recorded so far."""
        with self._sorting:
            self._sort()
            return Snapshot(self._counts.copy(), self._total)

    def add(self, snapshot: Snapshot) -> None:
        """Count what another BucketCounts with the same buckets has counted."""
        with self._sorting:
            self._counts += snapshot.counts
            self._total += snapshot.total

    def _sort(self) -> None:
        """Sort the kept numbers into their buckets."""
        numbers = np.array([self._kept.popleft() for _ in range(len(self._kept))], np.float64)
        self._counts += np.bincount(np.searchsorted(self._bounds, numbers), minlength=len(self._counts))
        self._total += float(numbers.sum())
