"""Scans the repository for requests that name an unknown version."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from service.errors import Draining

# Any made-up name causes a scan. Requests share scans, so many of them cause at most one scan a second.
_PAUSE_SECONDS = 1.0


class SharedScan:
    """One scan for all requests that wait for it. Used on one event loop.

    Args:
        scan: Scans the repository.
        clock: Monotonic seconds.
    """

    def __init__(self, scan: Callable[[], Awaitable[None]], clock: Callable[[], float] = time.monotonic) -> None:
        self._scan = scan
        self._clock = clock
        self._scanned_at = -_PAUSE_SECONDS
        self._next: asyncio.Task[None] | None = None  # the scan that has not begun: new requests share it
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Return after a scan that began after this call.

        Raises:
            Draining: The server stopped before.
            Exception: The error of the scan.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._scan_in_time(), name="scan for a request")
            self._tasks.add(self._next)
            self._next.add_done_callback(self._over)
        shared = self._next
        try:
            await asyncio.shield(shared)
        except asyncio.CancelledError:
            if not shared.cancelled():
                raise  # the request was cancelled, not the scan
            raise Draining("the server is stopping and searches for no new versions") from None

    async def close(self) -> None:
        """Cancel the scans."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _scan_in_time(self) -> None:
        # Scans run one after another. All requests that arrive during a long scan share the next one.
        async with self._turn:
            await asyncio.sleep(self._scanned_at + _PAUSE_SECONDS - self._clock())
            self._scanned_at, self._next = self._clock(), None
            await self._scan()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved here, because all its requests may have been cancelled
