"""Wakes tasks that wait until something holds."""

import asyncio
from collections.abc import Callable


class News:
    """Something changes now and then, and tasks wait for what they want of it. Lives on one event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Say that something changed: each task that waits looks again."""
        self._event.set()
        self._event = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds; at once where it does."""
        while not holds():
            await self._event.wait()
