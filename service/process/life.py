"""The life of the process: the server runs in a thread, and the main thread only waits for signals.

So the process ends in time (stop.py), even if the server hangs. Examples are a run on the event loop that never
returns, a read of a file, and a write of a log line to a pipe that is not read.
"""

import asyncio
import importlib.util
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

from service.cores import use_all_cores
from service.process.output import log
from service.process.signals import Signals, signals
from service.process.stop import GONE, LEFT, Stop
from service.process.threads import AbandonedPool, where_threads_are, within

_log = logging.getLogger(__name__)

# Exit codes after a stop by signal: everything ended, or something hung and was abandoned.
ENDED = 0
ABANDONED = 3

# Longest wait for a log line at the end, because the log may be a pipe that is not read.
_LOG_SECONDS = 0.2
# The longest wait that every platform takes.
_LONGEST_WAIT_SECONDS = 86400.0

Serve = Callable[[Stop], Coroutine[Any, Any, bool]]


def run(
    serve: Serve,
    grace_seconds: float,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    *,
    last: bool = False,
    on_hangup: Callable[[], None] | None = None,
) -> int:
    """Run a server until it ends, or until it hangs and has to be abandoned. Only the main thread may call it.

    Args:
        serve: Serves until a stop is asked for. Gives False if something hung and was abandoned.
        grace_seconds: Longest wait for accepted requests.
        new_loop: Creates the event loop for `serve`.
        last: Whether the process ends afterwards. If so, later signals are ignored.
        on_hangup: Is called at each SIGHUP; None: SIGHUP stops the server.

    Returns:
        Exit code: ENDED, also if a second signal shortened the stop; ABANDONED if something hung.

    Raises:
        Exception: The error of `serve`.
    """
    stop, stops = Stop(grace_seconds), 0
    with signals(last=last, hangup_stops=on_hangup is None) as received:
        server = _Server(serve, stop, new_loop, received)
        server.start()
        while True:
            try:
                number = received.next(min(stop.remaining(LEFT), _LONGEST_WAIT_SECONDS))
            except TimeoutError:
                if not stop.remaining(LEFT):
                    break
                continue
            if number is None:
                return server.exit_code()
            if number is signal.SIGHUP and on_hangup is not None:
                on_hangup()
                continue
            if number is signal.SIGHUP and stop.asked_at < math.inf:  # a terminal that closes often sends two
                continue
            stops += 1
            if stop.asked_at == math.inf:
                stop.ask()
                _note(f"{number.name}: stopping within {grace_seconds + GONE.after_grace_seconds:g} s")
            elif not stop.is_at_once:
                stop.ask_at_once()
                _note(f"{number.name} again: stopping at once")
            elif stops > 2:  # the first two may come of the server itself, whose parent has gone: it said so
                break
    within(_LOG_SECONDS, stop.abandon)
    seconds, where = time.monotonic() - stop.asked_at, where_threads_are()
    within(_LOG_SECONDS, partial(_log.error, "not stopped after %.1f s; abandoned: %s", seconds, where))
    return ENDED if stop.is_at_once else ABANDONED


def new_fast_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes event loops of uvloop, which is faster, if it is installed; otherwise asyncio's."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


def leave(code: int) -> NoReturn:
    """End the process without a wait for its threads or for exit handlers of libraries."""
    within(_LOG_SECONDS, _flush)
    os._exit(code)


class _Server(threading.Thread):
    """The thread of the server. Its end wakes the main thread as a signal does."""

    def __init__(
        self,
        serve: Serve,
        stop: Stop,
        new_loop: Callable[[], asyncio.AbstractEventLoop],
        received: Signals,
    ) -> None:
        super().__init__(name="server", daemon=True)
        self._serve, self._stop, self._new_loop, self._received = serve, stop, new_loop, received
        self._all_ended = False
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            runner = asyncio.Runner(loop_factory=self._new_loop)
            try:
                runner.get_loop().set_default_executor(AbandonedPool(initializer=use_all_cores))
                self._all_ended = runner.run(self._live())
            finally:
                with suppress(RuntimeError):  # asyncio shuts the pool down in a new thread, which may not start
                    runner.close()
        except BaseException as error:
            self._error = error
        finally:
            with suppress(OSError):  # this thread was abandoned before, and the socket is closed
                self._received.end()

    def exit_code(self) -> int:
        """The exit code of a server that ended; raises its error if it failed."""
        if self._error is not None:
            raise self._error
        return ENDED if self._all_ended or self._stop.is_at_once else ABANDONED

    async def _live(self) -> bool:
        self._stop.listen()
        return await self._serve(self._stop)


def _note(message: str) -> None:
    """Log a line in another thread, without a wait."""
    within(0, partial(_log.info, "%s", message))


def _flush() -> None:
    log.finish()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the stream is closed, full or None
            stream.flush()
