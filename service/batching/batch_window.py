"""A batch window: wait without a timer for concurrent requests, until no request arrives for some turns of the loop.

Example with `quiet_turns=32`: three requests arrive in three turns of the event loop. The window ends after 32 more
turns without a request, or after 1 ms, and the three run in one batch.
"""

import asyncio
import os
from collections.abc import Callable

# A window ends after this time, even if the event loop is never quiet.
_MOST_SECONDS = 1e-3
# After 4 requests in a row that arrived alone, only every 16th opens a batch window, because an open window keeps the
# event loop busy. On a busy machine that takes the processor from the callers.
_ALWAYS_OPENED, _OPENED_EVERY = 4, 16
# The count of requests alone begins anew when a request arrives this soon after the previous answer, or within the time
# that the previous answer took.
_CLOSE_SECONDS = 100e-6


class BatchWindow:
    """Decides when the requests of one batch have all arrived. Used on one event loop.

    Args:
        quiet_turns: Number of turns of the event loop without a new request that end the window; 0 if concurrent
            requests always arrive in the same turn.
        clock: Monotonic seconds.
        full: Whether the batch has no room for more requests.
        ended: Is called at the end of the window, in a turn of its own.
        shares_core: Whether the thread that receives requests has only the core of this one. In each turn of the window
            it then has its chance. So has a busy program on the core: it may keep it for one of its time slices (about
            4 ms on Linux 6.18), after which the window ends, later than the millisecond.

    Attributes:
        quiet_turns: As the argument; may change.
        is_open: Whether the window is open: it waits for more requests.
        concurrent: Whether several requests arrived in the last window.
    """

    def __init__(
        self,
        quiet_turns: int,
        clock: Callable[[], float],
        full: Callable[[], bool],
        ended: Callable[[], None],
        *,
        shares_core: bool = False,
    ) -> None:
        self.is_open = self.concurrent = False
        self.quiet_turns = quiet_turns
        self._clock = clock
        self._full = full
        self._ended = ended
        self._shares_core = shares_core
        self._until = 0.0
        self._next: asyncio.Handle | None = None
        self._quiet = 0
        self._arrived = self._arrived_before = 0  # requests since the last window ended, and those before this turn
        self._alone = 0  # requests in a row that arrived alone
        self._close_until = 0.0

    def arrived(self) -> None:
        """Count a request."""
        self._arrived += 1

    def arrived_alone(self, arrived: float, answered: float) -> None:
        """Count a request that arrived alone and was answered at once. It may open a window for the next requests.

        Args:
            arrived: When it arrived, by the clock.
            answered: When it was answered.
        """
        if arrived < self._close_until:
            self._alone = 0
        self._close_until = answered + max(_CLOSE_SECONDS, answered - arrived)
        if self._alone < _ALWAYS_OPENED or self._alone % _OPENED_EVERY == 0:
            self._arrived += 1
            self.open()
        self._alone += 1

    def open(self) -> None:
        """Open the window: wait for more requests."""
        self._until = self._clock() + _MOST_SECONDS
        self._quiet = 0
        self.is_open = True
        self._next = asyncio.get_running_loop().call_soon(self._turn)

    def close(self) -> None:
        """Close the window if it is open, and remember whether several requests arrived."""
        if self._next is not None:
            self._next.cancel()
        self._next, self.is_open = None, False
        self.concurrent, self._arrived, self._arrived_before = self._arrived > 1, 0, 0
        if self.concurrent:
            self._alone = 0

    def _turn(self) -> None:
        """After each turn of the loop, end the window or wait for another turn."""
        self._quiet = 0 if self._arrived > self._arrived_before else self._quiet + 1
        self._arrived_before = self._arrived
        if self._quiet < self.quiet_turns and not self._full() and self._clock() < self._until:
            if self._shares_core:
                os.sched_yield()
            self._next = asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._ended()
