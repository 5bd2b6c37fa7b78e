"""Which model's batch runs first, if models have different priorities.

Example: `alarms` has priority 10 and `reports` 0. While rows of `alarms` wait or run, a batch of `reports` that is
ready waits, but at most 50 ms. So `reports` makes progress under any load, and a run of `alarms` that hangs does not
stop it: during one run of `alarms` others wait 50 ms at most. Models with equal priorities never wait for each other.
"""

import asyncio
import math
from collections.abc import Callable

_MOST_SECONDS = 0.05


class Turns:
    """The turns of all batchers of a server. Used on one event loop.

    Attributes:
        highest: The highest priority of the batchers that others wait for; -inf if there is none.
    """

    def __init__(self) -> None:
        self.highest = -math.inf
        self._busy: dict[int, set[Turn]] = {}  # by priority; no empty sets
        self._waiting: set[Turn] = set()

    def enter(self, turn: "Turn") -> None:
        """Let others wait for a batcher."""
        self._busy.setdefault(turn.priority, set()).add(turn)
        self.highest = max(self.highest, turn.priority)

    def leave(self, turn: "Turn") -> None:
        """Let nobody wait for a batcher any more. Batches that waited for it run."""
        same = self._busy[turn.priority]
        same.discard(turn)
        if not same:
            del self._busy[turn.priority]
            self.highest = max(self._busy, default=-math.inf)
        for waiting in sorted(self._waiting, key=lambda each: -each.priority):
            if waiting.priority >= self.highest:
                self._waiting.discard(waiting)
                waiting.grant()

    def wait(self, turn: "Turn", *, waits: bool) -> None:
        """Note whether a batch waits for its turn."""
        (self._waiting.add if waits else self._waiting.discard)(turn)

    def above(self, priority: int) -> "list[Turn]":
        """The batchers with a higher priority that others wait for."""
        return [turn for each, same in self._busy.items() if each > priority for turn in same]


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
        self._is_busy = self._is_slow = self._is_granted = False
        self._start: Callable[[], None] | None = None
        self._timer: asyncio.Handle | None = None

    def enter(self) -> None:
        """Report that rows wait."""
        if not self._is_busy and not self._is_slow:
            self._is_busy = True
            self.turns.enter(self)

    def settle(self, *, is_running: bool, waits: bool) -> None:
        """Report whether a batch runs and whether rows wait, when a run has ended or a request has left."""
        self._is_slow = self._is_slow and is_running
        if is_running or waits:
            self.enter()
            return
        self._stop_waiting()
        self._is_granted = False
        self._leave()

    def move(self, priority: int) -> None:
        """Change the priority."""
        was_busy = self._is_busy
        self._leave()
        self.priority = priority
        if was_busy:
            self.enter()

    def must_wait(self, start: Callable[[], None]) -> bool:
        """Whether a batch that is ready must wait. Then `start` is called when its turn has come."""
        if self._is_granted or self.turns.highest <= self.priority:
            self._stop_waiting()
            self._is_granted = False
            return False
        if not self.is_waiting:
            self.is_waiting, self._start = True, start
            self.turns.wait(self, waits=True)
            self._timer = asyncio.get_running_loop().call_later(_MOST_SECONDS, self._overdue)
        return True

    def grant(self) -> None:
        """Let the batch that waits run, in the next turn of the event loop."""
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_soon(self._begin)

    def _overdue(self) -> None:
        """Run in spite of the others. Nobody waits for their present runs any more."""
        for turn in self.turns.above(self.priority):
            turn._is_slow = True
            turn._leave()
        self._begin()

    def _begin(self) -> None:
        start = self._start
        self._stop_waiting()
        self._is_granted = True
        if start is not None:
            start()

    def _leave(self) -> None:
        if self._is_busy:
            self._is_busy = False
            self.turns.leave(self)

    def _stop_waiting(self) -> None:
        if self.is_waiting:
            self._cancel_timer()
            self.turns.wait(self, waits=False)
            self.is_waiting, self._start = False, None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
