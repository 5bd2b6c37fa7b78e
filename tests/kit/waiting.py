"""Waiting until something holds. A wait that is too long fails the test; how long a wait may take proves nothing."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
# A longer pause between two looks is one of the machine.
_LONGEST_PAUSE_SECONDS = 0.1


def wait_for(ask: Callable[[], _T], what: str = "the condition", seconds: float = 90) -> _T:
    """The first answer that is true; asked again and again, since other programs are as fast as they are."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}; got {answer!r}"
        time.sleep(0.02)  # a pause between two questions to another program
    return answer


def seconds_until(holds: Callable[[], bool], what: str = "the condition", seconds: float = 90) -> float:
    """How long something did not hold, for a bound that a program promises. The look must be quick.

    The time ends with the last look that was in vain. A pause between two looks counts at most 0.1 s: in a longer one
    the machine stood still, which says nothing of the program.
    """
    counted, before = 0.0, time.monotonic()
    deadline = before + seconds
    while True:
        now = time.monotonic()
        if holds():
            return counted
        assert now < deadline, f"waited {seconds:g} s for {what}"
        counted, before = counted + min(now - before, _LONGEST_PAUSE_SECONDS), now
        time.sleep(0.005)  # a pause between two questions to another program


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Give the event loop turns until something holds in this process."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is counted has no event
            await asyncio.sleep(0.001)


async def until_elsewhere(holds: Callable[[], bool], seconds: float = 60) -> None:
    """The same of another process, which is asked in a thread: the event loop goes on."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - a process is asked
            await asyncio.sleep(0.01)


def run_test(test: Coroutine[Any, Any, None], seconds: float = 90) -> None:
    """Run a test on an event loop of its own, for so long at most."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):  # in the same task: a test may look at all there are
            await test

    asyncio.run(bounded())
