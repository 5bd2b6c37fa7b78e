"""Superseded versions that still answer callers who name them, for a bounded time in bounded memory."""

import asyncio
from collections.abc import Callable

from service.registry.entries import Entry


class Lingering:
    """Versions that linger, oldest first. Lives on one event loop.

    Args:
        seconds: How long each may.
        room_bytes: Gives the memory that they may hold together; the oldest go first.
        over: Is called with a version whose time is over; it lingers no longer by then.
    """

    def __init__(self, seconds: float, room_bytes: Callable[[], int], over: Callable[[Entry], None]) -> None:
        self._seconds = seconds
        self._room_bytes = room_bytes
        self._over = over
        self._timers: dict[Entry, asyncio.TimerHandle] = {}

    def add(self, entry: Entry) -> None:
        """Let a version linger; where there is no room for it its time is over at once."""
        self._timers[entry] = asyncio.get_running_loop().call_later(self._seconds, self._end, entry)
        room_bytes = self._room_bytes()
        if entry.model is not None and entry.model.memory_bytes > room_bytes:
            self._end(entry)  # by itself too large: the others need not go
        while self._timers and self._bytes() > room_bytes:
            self._end(next(iter(self._timers)))

    def discard(self, entry: Entry) -> None:
        """Forget a version: it is wanted again, or gone."""
        timer = self._timers.pop(entry, None)
        if timer is not None:
            timer.cancel()

    def clear(self) -> None:
        """Forget them all."""
        for entry in list(self._timers):
            self.discard(entry)

    def _bytes(self) -> int:
        return sum(entry.model.memory_bytes for entry in self._timers if entry.model is not None)

    def _end(self, entry: Entry) -> None:
        self.discard(entry)
        self._over(entry)
