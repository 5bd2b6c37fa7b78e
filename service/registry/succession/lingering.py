"""Superseded versions that still answer requests for their number, for a bounded time in bounded memory."""

import asyncio
from collections.abc import Callable

from service.registry.entries import Entry


class Lingering:
    """The lingering versions, oldest first. Used on one event loop.

    Args:
        seconds: How long each version lingers.
        room_bytes: Gives the memory that all of them together may hold. Beyond it the oldest end first.
        over: Is called with each version whose time has ended, after it was removed here.
    """

    def __init__(self, seconds: float, room_bytes: Callable[[], int], over: Callable[[Entry], None]) -> None:
        self._seconds = seconds
        self._room_bytes = room_bytes
        self._over = over
        self._timers: dict[Entry, asyncio.TimerHandle] = {}

    def add(self, entry: Entry) -> None:
        """Let a version linger. If there is no room for it, its time ends at once."""
        self._timers[entry] = asyncio.get_running_loop().call_later(self._seconds, self._end, entry)
        room_bytes = self._room_bytes()
        if entry.model is not None and entry.model.memory_bytes > room_bytes:
            self._end(entry)  # it alone is too large, so the others may stay
        while self._timers and self._bytes() > room_bytes:
            self._end(next(iter(self._timers)))

    def discard(self, entry: Entry) -> None:
        """Forget a version, because it is served again or has been removed."""
        timer = self._timers.pop(entry, None)
        if timer is not None:
            timer.cancel()

    def clear(self) -> None:
        """Forget all versions."""
        for entry in list(self._timers):
            self.discard(entry)

    def _bytes(self) -> int:
        return sum(entry.model.memory_bytes for entry in self._timers if entry.model is not None)

    def _end(self, entry: Entry) -> None:
        self.discard(entry)
        self._over(entry)
