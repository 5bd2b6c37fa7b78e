"""Scans the repository periodically while the server runs."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from service.errors import StartupError

_log = logging.getLogger(__name__)

# Error messages that are remembered, so that each is logged once. One failure of a storage may give several messages.
_REMEMBERED = 20


class Watcher:
    """A task that scans. It starts at once and runs until :meth:`stop`, also after a scan that fails.

    Args:
        scan: Scans the repository.
        seconds: Time between two scans.
        logged_error: The error of the previous scan, which was logged already; "" if there was none.
    """

    def __init__(self, scan: Callable[[], Awaitable[None]], seconds: float, logged_error: str = "") -> None:
        self._stopped = False
        self._task = asyncio.create_task(_watch(scan, seconds, logged_error), name="watch")

    @property
    def alive(self) -> bool:
        """False if the task ended without `stop`. Then new versions would never be found."""
        return self._stopped or not self._task.done()

    async def stop(self) -> None:
        """End the task."""
        self._stopped = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _watch(scan: Callable[[], Awaitable[None]], seconds: float, logged_error: str) -> None:
    logged = deque([logged_error] if logged_error else [], maxlen=_REMEMBERED)
    while True:
        await asyncio.sleep(seconds)
        try:
            await scan()
        except Exception as error:
            # Loaded models keep answering. Each error is logged once, not at every scan, even if two errors alternate.
            if str(error) not in logged:
                logged.append(str(error))
                unexpected = not isinstance(error, StartupError)
                _log.error("%s; loaded models still answer", error, exc_info=error if unexpected else None)
        else:
            if logged:
                _log.info("the model repository is read again")
            logged.clear()
