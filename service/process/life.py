"""The life of the process: the server runs in a thread, and the main thread waits for signals and for nothing else.

So the process ends in time (stop.py), whatever hangs in the server: a run on the event loop, a read, a line of the log
that nobody reads.
"""

import asyncio
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from service.process.signals import Signals, signals
from service.process.stop import GONE, LEFT, Stop
from service.process.threads import AbandonedPool, where_threads_are, within

_log = logging.getLogger(__name__)

# Exit codes after a stop by signal: all that was under way ended, or something hung and was abandoned.
ENDED = 0
ABANDONED = 3

# What a log that is not read may cost at the end.
_LOG_SECONDS = 0.2
# The longest wait that every platform takes.
_LONGEST_WAIT_SECONDS = 86400.0

Serve = Callable[[Stop], Coroutine[Any, Any, bool]]


def run(
    serve: Serve, grace_seconds: float, new_loop: Callable[[], asyncio.AbstractEventLoop], *, last: bool = False
) -> int:
    """Run a server until it ends, or until what hangs in it has to be abandoned; for the main thread alone.

    Args:
        serve: Serves until it is told to stop; gives False where something that hangs was abandoned.
        grace_seconds: Its longest wait for accepted requests.
        new_loop: Makes the event loop that it runs on.
        last: Whether the process ends afterwards: signals that come then are ignored.

    Returns:
        Exit code: ENDED, also where a second signal cut the stop short; ABANDONED where something hung.

    Raises:
        Exception: What `serve` raised.
    """
    stop = Stop(grace_seconds)
    with signals(last=last) as came:
        server = _Server(serve, stop, new_loop, came)
        server.start()
        while True:
            try:
                number = came.next(min(stop.remaining(LEFT), _LONGEST_WAIT_SECONDS))
            except TimeoutError:
                if not stop.remaining(LEFT):
                    break
                continue
            if number is None:
                return server.exit_code()
            if stop.asked_at == math.inf:
                stop.ask()
                _note(f"{number.name}: stopping within {grace_seconds + GONE.after_grace_seconds:g} s")
            elif number is signal.SIGHUP:  # a terminal that goes often sends two
                continue
            elif stop.is_at_once:
                break
            else:
                stop.ask_at_once()
                _note(f"{number.name} again: stopping at once")
    within(_LOG_SECONDS, stop.abandon)
    seconds, where = time.monotonic() - stop.asked_at, where_threads_are()
    within(_LOG_SECONDS, partial(_log.error, "not stopped after %.1f s; abandoned: %s", seconds, where))
    return ENDED if stop.is_at_once else ABANDONED


def leave(code: int) -> NoReturn:
    """End the process, and wait neither for threads that hang in it nor for what libraries do at the end."""
    within(_LOG_SECONDS, _flush)
    os._exit(code)


class _Server(threading.Thread):
    """The thread that the server runs in; its end comes as signals do."""

    def __init__(
        self,
        serve: Serve,
        stop: Stop,
        new_loop: Callable[[], asyncio.AbstractEventLoop],
        came: Signals,
    ) -> None:
        super().__init__(name="server", daemon=True)
        self._serve, self._stop, self._new_loop, self._came = serve, stop, new_loop, came
        self._whole = False
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            runner = asyncio.Runner(loop_factory=self._new_loop)
            try:
                runner.get_loop().set_default_executor(AbandonedPool())
                self._whole = runner.run(self._live())
            finally:
                with suppress(RuntimeError):  # asyncio shuts the pool down in a thread, and none can be started
                    runner.close()
        except BaseException as error:
            self._error = error
        finally:
            with suppress(OSError):  # it was abandoned
                self._came.end()

    def exit_code(self) -> int:
        """What its end means, or what it raised."""
        if self._error is not None:
            raise self._error
        return ENDED if self._whole or self._stop.is_at_once else ABANDONED

    async def _live(self) -> bool:
        self._stop.listen()
        return await self._serve(self._stop)


def _note(message: str) -> None:
    """Log a line, and go on at once."""
    within(0, partial(_log.info, "%s", message))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, full, or none at all
            stream.flush()
