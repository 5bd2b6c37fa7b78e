"""A quota of rows: so many a second on average, with a burst of one second."""

import threading
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

# In rows, or in parts of what is wanted if that is more. A caller that comes back after exactly the told time is not
# refused for a rounding error, which is that of the debt before.
_ROUNDING = 1e-9


class TokenBucket:
    """A bucket of rows that fills at a constant rate, and holds the rows of one second. It is full at the start.

    A request for more rows than the bucket holds needs a full bucket, and leaves a debt. So every request can be
    accepted at some time, and the mean rate holds. Example at 10 rows a second: 25 rows are accepted at once; the next
    row after 1.6 s.

    Args:
        rows_per_second: The rate, above 0.
        clock: Monotonic seconds.

    Attributes:
        rows_per_second: The rate.
    """

    def __init__(self, rows_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rows_per_second = rows_per_second
        self._clock = clock
        self._rows = rows_per_second
        self._filled_at = clock()

    def told(self, rows_per_second: float) -> str:
        """The rate for a message, such as "100 rows a second, 50 of them by each worker".

        Args:
            rows_per_second: That of all processes together.
        """
        share = "" if self.rows_per_second == rows_per_second else f", {self.rows_per_second:g} of them by each worker"
        return f"{rows_per_second:g} rows a second{share}"

    def take(self, rows: int) -> float:
        """Take rows, if there are enough.

        Returns:
            0 if they were taken; otherwise nothing was taken, and these are the seconds until they can be.
        """
        now = self._clock()
        self._rows = min(self.rows_per_second, self._rows + (now - self._filled_at) * self.rows_per_second)
        self._filled_at = now
        wanted = min(float(rows), self.rows_per_second)
        if self._rows + _ROUNDING * max(1.0, wanted) < wanted:
            return (wanted - self._rows) / self.rows_per_second
        self._rows -= rows
        return 0.0


class Quotas:
    """The buckets in use. All that ask for the same name and rate share one. Any thread may ask.

    Args:
        share: This process's part of each quota: 1 / N for one of N processes that serve the same callers.
        clock: Monotonic seconds.
    """

    def __init__(self, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._buckets: WeakValueDictionary[tuple[str, float], TokenBucket] = WeakValueDictionary()
        self._lock = threading.Lock()

    def of(self, name: str, rows_per_second: float) -> TokenBucket:
        """The bucket of a name at a rate, of all processes together; a full one if nobody holds it."""
        with self._lock:
            bucket = self._buckets.get((name, rows_per_second))
            if bucket is None:
                bucket = self._buckets[name, rows_per_second] = TokenBucket(rows_per_second * self._share, self._clock)
            return bucket
