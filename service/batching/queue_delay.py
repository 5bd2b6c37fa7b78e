"""Holds waiting requests back for a fuller batch, for a bounded time.

Example with 5 ms: a request arrives, and another one 3 ms later. Both are run 5 ms after the first one arrived, or as
soon as all waiting requests fill a batch.
"""

import asyncio
from collections.abc import Callable

from service.batching.request_queue import RequestQueue

# A timer may end this much too late: a deadline so soon after it would be missed.
_TIMER_SECONDS = 1e-3


class QueueDelay:
    """The delay of one queue. Used on one event loop.

    Args:
        seconds: How long a request may be held back; 0 holds nothing back.
        max_batch_rows: Rows of a full batch.
        queue: The waiting requests.
        clock: Monotonic seconds.
        ended: Is called when the oldest request has been held back long enough.
    """

    def __init__(
        self,
        seconds: float,
        max_batch_rows: int,
        queue: RequestQueue,
        clock: Callable[[], float],
        ended: Callable[[], None],
    ) -> None:
        self._seconds = seconds
        self._max_batch_rows = max_batch_rows
        self._queue = queue
        self._clock = clock
        self._ended = ended
        self._timer: asyncio.TimerHandle | None = None

    def hold(self) -> bool:
        """Hold back the waiting requests, one or more. Returns False if they should run now."""
        if not self._seconds or self._queue.rows >= self._max_batch_rows:
            return False
        requests = self._queue.waiting()
        until = min(request.arrived for request in requests) + self._seconds
        if any(request.deadline is not None and request.deadline <= until + _TIMER_SECONDS for request in requests):
            return False
        rest_seconds = until - self._clock()
        if rest_seconds <= 0:
            return False
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(rest_seconds, self._ended)
        return True

    def cancel(self) -> None:
        """Hold back nothing any more, because the requests run."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
