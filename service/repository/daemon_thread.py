"""Run work that may hang in a daemon thread, so that the process can end without it.

Threads of asyncio.to_thread and of executors are joined at the end of the process. One that hangs would keep the
process alive for ever, and a few of them would block the executor for all other work.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from service.cores import use_all_cores
from service.time_slice import brief_turns, take_brief_slices

_T = TypeVar("_T")


def in_daemon_thread(work: Callable[[], _T], name: str) -> "asyncio.Future[_T]":
    """Run a function in its own daemon thread.

    Args:
        work: The function.
        name: Name of the thread.

    Returns:
        A future with the result. If it is cancelled, or never awaited, the thread still runs to its end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def run(done: "asyncio.Future[_T]") -> None:
        use_all_cores()
        take_brief_slices()
        try:
            with brief_turns():
                outcome = partial(done.set_result, work())
        except BaseException as error:
            outcome = partial(done.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_unless_done, done, outcome)
        # Without this line the error and its frames refer to each other. They would keep all data of the work in memory
        # until the garbage collector runs.
        del done, outcome

    threading.Thread(target=run, args=(done,), name=name, daemon=True).start()
    return done


def _unless_done(done: "asyncio.Future[_T]", outcome: Callable[[], None]) -> None:
    if not done.done():
        outcome()
