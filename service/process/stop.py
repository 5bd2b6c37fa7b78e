"""A stop of the server: the request for it, and its time budget.

    first signal ─ grace ─▶ ANSWERED ─ 3 s ─▶ READ ─ 0.5 s ─▶ CLOSED ─ 0.5 s ─▶ LEFT ─ 1 s ─▶ GONE: grace + 5 s

Both front ends have the same budget. Each wait during a stop ends at a milestone, no matter when the wait began.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Milestone:
    """A point in time during a stop.

    Attributes:
        after_grace_seconds: Its time, counted from the end of the grace period.
        after_at_once_seconds: Its latest time, counted from a second signal.
    """

    after_grace_seconds: float
    after_at_once_seconds: float


# Accepted requests are answered, or refused.
ANSWERED = Milestone(0.0, 0.0)
# Callers have read their answers, or their connections are cut.
READ = Milestone(3.0, 0.5)
# The last traces are sent. The ports close after that, and both must end before CLOSED.
TRACED = Milestone(3.3, 0.55)
# Sessions and ports are closed, and Envoy has sent its buffers. Anything that has not ended by then hangs.
CLOSED = Milestone(3.5, 0.7)
# Envoy has ended, or is killed.
KILLED = Milestone(3.8, 0.9)
# Anything that still hangs in the process is abandoned.
LEFT = Milestone(4.0, 1.0)
# The process is gone: this is the promise to operators. The second since LEFT is a reserve for a busy machine.
GONE = Milestone(5.0, 2.0)

# Without this limit a silent connection would delay the end until the grace period is over. Callers get 5 s to read
# their answers. In one more second grpcio still answers new calls that the server is stopping.
LONGEST_READ_SECONDS = 6.0


class Stop:
    """Tells a server to stop. The server waits for it on one event loop; signals ask for it in another thread.

    Args:
        grace_seconds: Longest wait for accepted requests.
        clock: Monotonic seconds.

    Attributes:
        asked: Set by the first signal.
        at_once: Set by the second one.
    """

    def __init__(self, grace_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.asked, self.at_once = asyncio.Event(), asyncio.Event()
        self._grace_seconds, self._clock = grace_seconds, clock
        self._asked_at = self._at_once_at = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._abandon: list[Callable[[], None]] = []

    def listen(self) -> None:
        """Set the events on the running event loop, also if the stop was asked for before this call."""
        self._loop = asyncio.get_running_loop()
        self._set_events()

    def ask(self, at: float | None = None) -> None:
        """Ask for a stop. Any thread may call it.

        Args:
            at: Time of the request, on the clock time.monotonic; None is now.
        """
        self._asked_at = min(self._asked_at, self._clock() if at is None else at)
        self._set_events()

    def ask_at_once(self) -> None:
        """Ask for a stop without a grace period. Any thread may call it."""
        # First, so that a server that learns of the request knows that it is one without a grace period.
        self._at_once_at = min(self._at_once_at, self._clock())
        self.ask()

    @property
    def asked_at(self) -> float:
        """Time of the first request, on the clock time.monotonic; infinite before it."""
        return self._asked_at

    @property
    def is_at_once(self) -> bool:
        """Whether a stop without a grace period was asked for."""
        return self._at_once_at < math.inf

    def remaining(self, milestone: Milestone) -> float:
        """Seconds until a milestone; infinite before a stop is asked for."""
        reached_at = min(
            self._asked_at + self._grace_seconds + milestone.after_grace_seconds,
            self._at_once_at + milestone.after_at_once_seconds,
        )
        return max(0.0, reached_at - self._clock())

    async def wait(self, task: "asyncio.Task[Any]", milestone: Milestone) -> bool:
        """Wait until a task is done, but not longer than to a milestone. A second signal brings the milestone nearer.

        Returns:
            Whether the task is done.
        """
        at_once = asyncio.create_task(self.at_once.wait(), name="at once")
        await asyncio.wait({task, at_once}, timeout=self.remaining(milestone), return_when=asyncio.FIRST_COMPLETED)
        at_once.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=self.remaining(milestone))
        return task.done()

    def on_abandon(self, act: Callable[[], None]) -> None:
        """Register a function that `abandon` calls, in another thread. It must not block."""
        self._abandon.append(act)

    def abandon(self) -> None:
        """Call the registered functions, before the process ends without the threads that hang."""
        for act in self._abandon:
            act()

    def _set_events(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        if self._asked_at < math.inf:
            self._loop.call_soon_threadsafe(self.asked.set)
        if self._at_once_at < math.inf:
            self._loop.call_soon_threadsafe(self.at_once.set)
