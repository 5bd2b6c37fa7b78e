"""A signal for tasks that wait until a condition is true."""

import asyncio
from collections.abc import Callable


class ChangeSignal:
    """Tasks wait for a condition on a state, and each change of the state wakes them. Used on one event loop.

    Example: `await changes.until(lambda: not loading)`, and `changes.notify()` after each change of `loading`.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Report a change: each waiting task evaluates its condition again."""
        self._event.set()
        self._event = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition is true. Return at once if it is true already."""
        while not holds():
            await self.wait()

    async def wait(self) -> None:
        """Wait for the next change."""
        await self._event.wait()
