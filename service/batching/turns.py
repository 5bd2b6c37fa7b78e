"""Which model's batch runs first, if models have different priorities.

Example: `alarms` has priority 10 and `reports` 0. While rows of `alarms` wait or run, a batch of `reports` that is
ready waits, but at most 50 ms. So `reports` makes progress under any load, and a run of `alarms` that hangs does not
stop it. Models with equal priorities never wait for each other.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable

_MOST_SECONDS = 0.05


class Turns:
    """The turns of all batchers of a server. Used on one event loop.

    Attributes:
        highest: The highest priority of the batchers whose rows wait or run.
    """

    def __init__(self) -> None:
        self.highest = -math.inf
        self._busy: Counter[int] = Counter()  # batchers by priority
        self._waiting: set[Turn] = set()

    def entered(self, turn: "Turn") -> None:
        """A batcher has rows."""
        self._busy[turn.priority] += 1
        self.highest = max(self.highest, turn.priority)

    def left(self, turn: "Turn") -> None:
        """A batcher has no rows any more. Batches that waited for it run."""
        self._busy -= Counter({turn.priority: 1})
        self.highest = max(self._busy, default=-math.inf)
        for waiting in sorted(self._waiting, key=lambda each: -each.priority):
            if waiting.priority >= self.highest:
                waiting.grant()

    def waits(self, turn: "Turn", *, waits: bool) -> None:
        """Note whether a batch waits for its turn."""
        (self._waiting.add if waits else self._waiting.discard)(turn)


class Turn:
    """The turn of one batcher.

    Args:
        turns: Those of all batchers; None if there are no others.
        priority: Higher ones run first.

    Attributes:
        turns: As given.
        priority: As given; :meth:`move` changes it.
        is_waiting: Whether a batch waits for its turn.
    """

    def __init__(self, turns: Turns | None = None, priority: int = 0) -> None:
        self.turns = turns or Turns()
        self.priority = priority
        self.is_waiting = False
        self._is_busy = self._is_granted = False
        self._start: Callable[[], None] | None = None
        self._timer: asyncio.Handle | None = None

    def enter(self) -> None:
        """Report that rows wait."""
        if not self._is_busy:
            self._is_busy = True
            self.turns.entered(self)

    def leave(self) -> None:
        """Report that no rows wait or run."""
        self._stop_waiting()
        self._is_granted = False
        if self._is_busy:
            self._is_busy = False
            self.turns.left(self)

    def move(self, priority: int) -> None:
        """Change the priority."""
        if self._is_busy:
            self.turns.left(self)
        self.priority = priority
        if self._is_busy:
            self.turns.entered(self)

    def must_wait(self, start: Callable[[], None]) -> bool:
        """Whether a batch that is ready must wait. Then `start` is called when its turn has come."""
        if self._is_granted or self.turns.highest <= self.priority:
            self._stop_waiting()
            self._is_granted = False
            return False
        if not self.is_waiting:
            self.is_waiting, self._start = True, start
            self.turns.waits(self, waits=True)
            self._timer = asyncio.get_running_loop().call_later(_MOST_SECONDS, self._begin)
        return True

    def grant(self) -> None:
        """Let the batch that waits run, in the next turn of the event loop."""
        self._cancel_timer()
        self.turns.waits(self, waits=False)
        self._timer = asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        start = self._start
        self._stop_waiting()
        self._is_granted = True
        if start is not None:
            start()

    def _stop_waiting(self) -> None:
        if self.is_waiting:
            self._cancel_timer()
            self.turns.waits(self, waits=False)
            self.is_waiting, self._start = False, None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
