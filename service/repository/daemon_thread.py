"""Work that may hang, in a thread that the process does not wait for when it ends.

Threads of asyncio.to_thread and of executors are joined at the end of the process: one that hangs would keep it for
ever, and a few of them would use up the executor for everybody else.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

_T = TypeVar("_T")


def in_daemon_thread(work: Callable[[], _T], name: str) -> "asyncio.Future[_T]":
    """Run something in a thread of its own.

    Args:
        work: What to run.
        name: The thread's.

    Returns:
        A future with the outcome. It may be cancelled, or never be looked at: the thread goes on all the same.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def run(done: "asyncio.Future[_T]") -> None:
        try:
            outcome = partial(done.set_result, work())
        except BaseException as error:
            outcome = partial(done.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_unless_done, done, outcome)
        # An error that holds itself by way of its frames holds all that the work held, until the collector comes.
        del done, outcome

    threading.Thread(target=run, args=(done,), name=name, daemon=True).start()
    return done


def _unless_done(done: "asyncio.Future[_T]", outcome: Callable[[], None]) -> None:
    if not done.done():
        outcome()
