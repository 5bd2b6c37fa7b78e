"""A stop: who is told of it, and how its time is spent.

    first signal ─ grace ─▶ ANSWERED ─ 3 s ─▶ READ ─ 0.5 s ─▶ CLOSED ─ 0.5 s ─▶ LEFT ─ 1 s ─▶ GONE: grace + 5 s

One budget for both front ends: each wait of a stop ends at one of its milestones, whenever it began.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Milestone:
    """A point of a stop.

    Attributes:
        after_grace_seconds: When it comes, counted from the end of the grace period.
        after_at_once_seconds: And at the latest after a second signal.
    """

    after_grace_seconds: float
    after_at_once_seconds: float


# What was accepted is answered, or refused.
ANSWERED = Milestone(0.0, 0.0)
# Callers have read their answers, or their connections are cut.
READ = Milestone(3.0, 0.5)
# Sessions and ports are closed, and Envoy has sent what it held; what has not ended by then hangs.
CLOSED = Milestone(3.5, 0.7)
# Envoy has ended, or is killed.
KILLED = Milestone(3.8, 0.9)
# What still hangs in the process is abandoned.
LEFT = Milestone(4.0, 1.0)
# The contract: the process is gone. What lies between is for a machine that is busy.
GONE = Milestone(5.0, 2.0)

# A connection that says nothing would hold up the end for the rest of the grace period. 5 s for callers to read, and
# one more in which grpcio still tells those who call that the server stops.
LONGEST_READ_SECONDS = 6.0


class Stop:
    """Tells a server to stop. Waited for on one event loop; signals ask for it in another thread.

    Args:
        grace_seconds: Longest wait for accepted requests.

    Attributes:
        asked: Set by the first signal.
        at_once: Set by the second one.
    """

    def __init__(self, grace_seconds: float) -> None:
        self.asked, self.at_once = asyncio.Event(), asyncio.Event()
        self._grace_seconds = grace_seconds
        self._asked_at = self._at_once_at = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._abandon: list[Callable[[], None]] = []

    def listen(self) -> None:
        """Set the events on the running event loop, also for what was asked before it ran."""
        self._loop = asyncio.get_running_loop()
        self._tell()

    def ask(self, at: float | None = None) -> None:
        """Ask for a stop; for any thread.

        Args:
            at: When it was asked for, on time.monotonic's clock; now when left out.
        """
        self._asked_at = min(self._asked_at, time.monotonic() if at is None else at)
        self._tell()

    def ask_at_once(self) -> None:
        """Ask for a stop that waits for nothing; for any thread."""
        self.ask()
        self._at_once_at = min(self._at_once_at, time.monotonic())
        self._tell()

    @property
    def asked_at(self) -> float:
        """When the first signal came, on time.monotonic's clock; infinite before."""
        return self._asked_at

    @property
    def is_at_once(self) -> bool:
        """Whether nothing is to be waited for."""
        return self._at_once_at < math.inf

    def remaining(self, milestone: Milestone) -> float:
        """Seconds until a milestone; infinite before a stop is asked for."""
        comes_at = min(
            self._asked_at + self._grace_seconds + milestone.after_grace_seconds,
            self._at_once_at + milestone.after_at_once_seconds,
        )
        return max(0.0, comes_at - time.monotonic())

    async def wait(self, task: "asyncio.Task[Any]", milestone: Milestone) -> bool:
        """Wait until a task is done, until a milestone at the longest; a second signal brings that nearer.

        Returns:
            Whether it is done.
        """
        at_once = asyncio.create_task(self.at_once.wait(), name="at once")
        await asyncio.wait({task, at_once}, timeout=self.remaining(milestone), return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=self.remaining(milestone))
        return task.done()

    def on_abandon(self, act: Callable[[], None]) -> None:
        """Have something done before the process leaves what hangs in it behind; in another thread, and at once."""
        self._abandon.append(act)

    def abandon(self) -> None:
        """Do it."""
        for act in self._abandon:
            act()

    def _tell(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        if self._asked_at < math.inf:
            self._loop.call_soon_threadsafe(self.asked.set)
        if self._at_once_at < math.inf:
            self._loop.call_soon_threadsafe(self.at_once.set)
