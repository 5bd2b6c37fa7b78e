"""Looks at the repository every `seconds`, for as long as the server runs."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from service.errors import StartupError

_log = logging.getLogger(__name__)

# Messages that are remembered, so that they are logged once: a storage may word its trouble anew at every look.
_REMEMBERED = 20


class Watcher:
    """A task that looks; it starts at once and ends with :meth:`stop`. A look that fails ends nothing.

    Args:
        look: Looks at the repository.
        seconds: Between two looks.
        trouble: What went wrong at the look before the first one here, and was logged; "" where nothing did.
    """

    def __init__(self, look: Callable[[], Awaitable[None]], seconds: float, trouble: str = "") -> None:
        self._stopped = False
        self._task = asyncio.create_task(_watch(look, seconds, trouble), name="watch")

    @property
    def alive(self) -> bool:
        """False once it ended although nobody stopped it: new versions would never come."""
        return self._stopped or not self._task.done()

    async def stop(self) -> None:
        """End the task."""
        self._stopped = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _watch(look: Callable[[], Awaitable[None]], seconds: float, trouble: str) -> None:
    told = deque([trouble] if trouble else [], maxlen=_REMEMBERED)
    while True:
        await asyncio.sleep(seconds)
        try:
            await look()
        except Exception as error:
            # What answers goes on. Logged once, not at every look, also where two reasons alternate.
            if str(error) not in told:
                told.append(str(error))
                unexpected = not isinstance(error, StartupError)
                _log.error("%s; what is loaded answers on", error, exc_info=error if unexpected else None)
        else:
            if told:
                _log.info("the model repository is read again")
            told.clear()
