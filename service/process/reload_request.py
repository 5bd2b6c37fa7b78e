"""A request to read the settings file again. The main thread makes it at SIGHUP; the server waits for it."""

import asyncio
from contextlib import suppress


class ReloadRequest:
    """Any thread may ask, at any time; one event loop waits. Several requests before a wait are one."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._was_asked = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self) -> None:
        """Ask for a reload."""
        self._was_asked = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the server has gone
                self._loop.call_soon_threadsafe(self._asked.set)

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait for a request, but not longer than this. Returns whether there was one; it is then taken."""
        self._loop = asyncio.get_running_loop()
        if not self._was_asked:
            try:
                async with asyncio.timeout(seconds):
                    await self._asked.wait()
            except TimeoutError:
                return False
        self._was_asked = False
        self._asked.clear()
        return True
