"""A quota of rows: so many a second on average, with a burst of one second."""

import time
from collections.abc import Callable

from service.quota.levels import Level

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
        level: How full it is, for all processes that have this bucket; None: it belongs to this process alone.
    """

    def __init__(
        self, rows_per_second: float, clock: Callable[[], float] = time.monotonic, level: Level | None = None
    ) -> None:
        self._rate = rows_per_second
        self._clock = clock
        self._rows = rows_per_second
        self._filled_at = clock()
        self._level = level

    def take(self, rows: int) -> float:
        """Take rows, if there are enough.

        Returns:
            0 if they were taken; otherwise nothing was taken, and these are the seconds until they can be.
        """
        if self._level is None:
            return self._take(rows)
        with self._level:
            self._rows, self._filled_at = self._level.read()
            seconds = self._take(rows)
            if not seconds:
                self._level.write(self._rows, self._filled_at)
        return seconds

    def _take(self, rows: int) -> float:
        now = self._clock()
        self._rows = min(self._rate, self._rows + (now - self._filled_at) * self._rate)
        self._filled_at = now
        wanted = min(float(rows), self._rate)
        if self._rows + _ROUNDING * max(1.0, wanted) < wanted:
            return (wanted - self._rows) / self._rate
        self._rows -= rows
        return 0.0
