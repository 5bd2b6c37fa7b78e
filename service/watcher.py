"""Looks at the repository every so often, for as long as the server runs."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from service.errors import StartupError

_log = logging.getLogger(__name__)

# What was told and is not told again: a storage may find new words for its trouble every time.
_REMEMBERED = 20


class Watcher:
    """A task that refreshes; it starts at once and ends with :meth:`stop`.

    Args:
        refresh: Looks at the repository; whether anything changed.
        seconds: Between two looks.
        changed: Is called after each look that changed anything.
        trouble: What went wrong at the look before the first one here, and was told; "" where nothing did.
    """

    def __init__(
        self,
        refresh: Callable[[], Awaitable[bool]],
        seconds: float,
        changed: Callable[[], None],
        trouble: str = "",
    ) -> None:
        self._stopped = False
        self._task = asyncio.create_task(_watch(refresh, seconds, changed, trouble), name="watch")

    @property
    def alive(self) -> bool:
        """False once it ended although nobody stopped it: new versions would never come."""
        return self._stopped or not self._task.done()

    async def stop(self) -> None:
        """End the task."""
        self._stopped = True
        self._task.cancel()
        # What broke it was logged when it broke.
        await asyncio.gather(self._task, return_exceptions=True)


async def _watch(
    refresh: Callable[[], Awaitable[bool]], seconds: float, changed: Callable[[], None], trouble: str
) -> None:
    told = deque([trouble] if trouble else [], maxlen=_REMEMBERED)
    while True:
        await asyncio.sleep(seconds)
        try:
            if await refresh():
                changed()
            if told:
                _log.info("the model repository is read again")
            told.clear()
        except StartupError as error:
            changed()  # what could be read of it may have
            # What answers goes on; said once, not at every look, also where the reason goes to and fro.
            if str(error) not in told:
                _log.error("%s; what is loaded answers on", error)
                told.append(str(error))
        except Exception:
            _log.exception("the repository cannot be watched any more")
            raise
