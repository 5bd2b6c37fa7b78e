"""Callers who come close together, waited for without a timer: until the event loop has been quiet."""

import asyncio
from collections.abc import Callable

# Nobody is kept longer for others to come along, however busy the event loop.
_MOST_SECONDS = 1e-3
# After so many that came alone, only every so many-th is watched for company: watching keeps the loop awake, which on a
# busy machine takes the processor from the caller. Who comes so soon after another's answer, or as soon
# as that took, is watched again.
_WATCHED_ALONE, _WATCHED_EVERY = 4, 16
_CLOSE_SECONDS = 100e-6


class BatchWindow:
    """Tells when those who came close together are all there. Lives on one event loop.

    Args:
        quiet_turns: How many turns of the event loop without anybody new end it; 0 where all who come at once come in
            the same turn.
        clock: Monotonic seconds.
        full: Whether there is no room for more.
        ended: Called at its end, in a turn of its own.

    Attributes:
        under_way: Whether it waits for more.
        company: Whether several came the last time.
    """

    def __init__(
        self, quiet_turns: int, clock: Callable[[], float], full: Callable[[], bool], ended: Callable[[], None]
    ) -> None:
        self.is_open = self.concurrent = False
        self._quiet_turns = quiet_turns
        self._clock = clock
        self._full = full
        self._ended = ended
        self._until = 0.0
        self._next: asyncio.Handle | None = None
        self._quiet = 0
        self._came = self._came_before = 0  # since the last end, and those of them before this turn
        self._alone = 0  # since there was company
        self._close_until = 0.0

    def arrived(self) -> None:
        """Count one who came."""
        self._came += 1

    def arrived_alone(self, came: float, answered: float) -> None:
        """Count one who came alone and was answered at once, at these moments; who comes close behind is gathered."""
        if came < self._close_until:
            self._alone = 0
        self._close_until = answered + max(_CLOSE_SECONDS, answered - came)
        if self._alone < _WATCHED_ALONE or self._alone % _WATCHED_EVERY == 0:
            self._came += 1
            self.open()
        self._alone += 1

    def open(self) -> None:
        """Wait for more."""
        self._until = self._clock() + _MOST_SECONDS
        self._quiet = 0
        self.is_open = True
        self._next = asyncio.get_running_loop().call_soon(self._turn)

    def close(self) -> None:
        """Wait no longer, if it does, and remember whether there was company."""
        if self._next is not None:
            self._next.cancel()
        self._next, self.is_open = None, False
        self.concurrent, self._came, self._came_before = self._came > 1, 0, 0
        if self.concurrent:
            self._alone = 0

    def _turn(self) -> None:
        """A turn of the loop has passed: end, unless others seem to be on their way."""
        self._quiet = 0 if self._came > self._came_before else self._quiet + 1
        self._came_before = self._came
        if self._quiet < self._quiet_turns and not self._full() and self._clock() < self._until:
            self._next = asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._ended()
