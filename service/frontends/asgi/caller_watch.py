"""Ends open calls whose deadline has passed or whose caller has gone.

An ASGI server tells nobody that a caller has left: it has to be asked, call by call, and three threads take part in an
answer. So a call is asked the less often, the longer it is open. Nothing here waits for an answer: one that is late
delays neither a deadline nor another call.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from service.frontends.asgi.open_call import OpenCall

_log = logging.getLogger(__name__)

# Calls are looked at in slots of this length; those that end within the first one are not.
SLOT_SECONDS: Final = 0.05
_FIRST_SLOTS = 2
# A call is asked again after an eighth of its age, and after 2 seconds at the latest.
_AGE_SHARE, _MOST_SLOTS = 8, 40
# Longer than the longest wait, so that no slot has calls of two rounds.
_WHEEL_SLOTS = 64


class CallerWatch:
    """A wheel of slots, each with the calls to look at then. Used on one event loop; ends with :meth:`close`.

    Args:
        clock: Monotonic seconds; the deadlines of calls are on it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._slot = 0  # the last one whose calls were looked at
        self._wheel: list[set[OpenCall]] = [set() for _ in range(_WHEEL_SLOTS)]
        self._idle_calls = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(SLOT_SECONDS, self._turn)

    def add(self, call: OpenCall, *, idle: bool = False) -> None:
        """Watch a call.

        Args:
            call: It is open until :meth:`remove`.
            idle: It may be open for ever, and nothing is computed for it meanwhile: it is asked as seldom as possible.
        """
        call.since_slot = self._slot
        slots = _FIRST_SLOTS
        if idle:
            # Calls that came together are asked one after the other.
            call.since_slot -= _AGE_SHARE * _MOST_SLOTS
            slots += self._idle_calls % _MOST_SLOTS
            self._idle_calls += 1
        self._put(call, slots)

    def remove(self, call: OpenCall) -> None:
        """Watch a call no longer: it is over."""
        self._wheel[call.look_slot % _WHEEL_SLOTS].discard(call)
        call.look_slot = -1

    def look(self) -> None:
        """Look at the calls of all slots since the last look; a timer calls it once a slot."""
        now = self._clock()
        before, self._slot = self._slot, int((now - self._began) / SLOT_SECONDS)
        for slot in range(max(before, self._slot - _WHEEL_SLOTS) + 1, self._slot + 1):
            calls, self._wheel[slot % _WHEEL_SLOTS] = self._wheel[slot % _WHEEL_SLOTS], set()
            for call in calls:
                self._look_at(call, now)

    def close(self) -> None:
        """Watch no calls any more."""
        self._timer.cancel()

    def _put(self, call: OpenCall, slots: int) -> None:
        """Look at a call in so many slots, or once its deadline has passed."""
        slot = self._slot + slots
        if call.context.deadline is not None:
            slot = max(self._slot + 1, min(slot, 1 + int((call.context.deadline - self._began) / SLOT_SECONDS)))
        call.look_slot = slot
        self._wheel[slot % _WHEEL_SLOTS].add(call)

    def _turn(self) -> None:
        self._timer = self._loop.call_later(SLOT_SECONDS, self._turn)
        self.look()

    def _look_at(self, call: OpenCall, now: float) -> None:
        if call.context.deadline is not None and now >= call.context.deadline:
            call.late = True
            call.task.cancel()
            return
        self._put(call, min(_MOST_SLOTS, max(1, (self._slot - call.since_slot) // _AGE_SHARE)))
        if call.body_read and not call.asked:
            call.asked = True
            try:
                asyncio.ensure_future(call.receive()).add_done_callback(partial(self._answered, call))
            except Exception:
                call.asked = False
                _log.exception("a caller could not be asked whether it is still there")

    def _answered(self, call: OpenCall, answer: "asyncio.Future[Mapping[str, Any]]") -> None:
        call.asked = False
        if answer.cancelled():
            return
        error = answer.exception()  # retrieved, or asyncio would log it
        if call.look_slot < 0:
            return
        if error is not None:
            _log.error("a caller could not be asked whether it is still there", exc_info=error)
        elif answer.result()["type"] == "http.disconnect":
            call.task.cancel()
