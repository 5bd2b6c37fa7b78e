"""A histogram: numbers are recorded quickly, and sorted into buckets later, when they are read."""

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from prometheus_client.samples import Exemplar

# Sorting this many at once costs 0.1 µs a number. More would use memory and not be faster.
_MOST_KEPT = 1024


@dataclass(frozen=True)
class Snapshot:
    """The content of a BucketCounts at one time.

    Attributes:
        counts: [buckets + 1], how many numbers are in each bucket (not cumulative). The last bucket has no upper bound.
        total: Sum of all numbers.
        exemplars: By bucket, the trace of one of its numbers.
    """

    counts: NDArray[np.int64]
    total: float
    exemplars: Mapping[int, Exemplar] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many numbers were recorded."""
        return int(self.counts.sum())

    def plus(self, other: "Snapshot") -> "Snapshot":
        """The sum of two snapshots with the same buckets."""
        exemplars = {**other.exemplars, **self.exemplars}
        return Snapshot(self.counts + other.counts, self.total + other.total, exemplars)


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

    __slots__ = ("_ascending", "_bounds", "_counts", "_exemplars", "_kept", "_sorting", "_total", "keep")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._ascending = bounds  # bisect takes a third of the time with a tuple
        self._bounds = np.array(bounds, np.float64)
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._total = 0.0
        self._exemplars: dict[int, Exemplar] = {}
        self._kept: deque[float] = deque()
        self.keep: Callable[[float], None] = self._kept.append
        self._sorting = threading.Lock()

    def note(self, number: float) -> None:
        """Record a number."""
        self._kept.append(number)
        if len(self._kept) >= _MOST_KEPT:
            self.sort_when_many()

    def traced(self, number: float, trace_id: str) -> None:
        """Keep the trace of a number that is recorded, until a later one in the same bucket has a trace."""
        self._exemplars[bisect_left(self._ascending, number)] = Exemplar({"trace_id": trace_id}, number, time.time())

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
            return Snapshot(self._counts.copy(), self._total, self._exemplars.copy())

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
