"""Looks at the repository on behalf of callers who name a version that is not here."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from service.errors import Draining

# A made-up name costs a look; callers share looks, so that many of them cost no more than one a second.
_PAUSE_SECONDS = 1.0


class Lookout:
    """One look for all who wait for it. Lives on one event loop.

    Args:
        look: Looks at the repository.
        clock: Monotonic seconds.
    """

    def __init__(self, look: Callable[[], Awaitable[None]], clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._clock = clock
        self._looked_at = -_PAUSE_SECONDS
        self._next: asyncio.Task[None] | None = None  # not begun: whoever comes now can share it
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """Return after a look that began after this call.

        Raises:
            Draining: The server stops first.
            Exception: Whatever the look raises.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._look_in_time(), name="look for a caller")
            self._tasks.add(self._next)
            self._next.add_done_callback(self._over)
        shared = self._next
        try:
            await asyncio.shield(shared)
        except asyncio.CancelledError:
            if not shared.cancelled():
                raise  # the caller has gone
            raise Draining("the server is stopping and looks for nothing new") from None

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_in_time(self) -> None:
        # One after another: where a look takes long, all who come meanwhile share the next.
        async with self._turn:
            await asyncio.sleep(self._looked_at + _PAUSE_SECONDS - self._clock())
            self._looked_at, self._next = self._clock(), None
            await self._look()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at here, as its callers may have gone
