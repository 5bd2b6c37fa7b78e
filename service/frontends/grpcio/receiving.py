"""Receives the messages of a bounded number of calls at once, since nobody sees what gRPC's core holds of them.

The core receives a message as a whole before Python sees a byte of it, and tells nobody how much of it is there. Each
call that is being received may therefore hold the largest message, and the number of such calls is bounded. A call
that waits for its turn is unread: the core holds at most its flow-control window of it.

A message that its caller sends at once is received within a turn or two of the event loop, and one that comes over a
slow link takes its time. So a call that takes longer than the largest message does at the slowest speed that is honest
gives its turn away once others wait for one; much sooner where many wait, since that is no crowd of honest uploads.
Calls that have waited too long are refused.

The next turn goes to a connection whose last message came to its end, then to one that nothing is known of. Of an
unknown connection one call is tried at a time, so that each turn tells of another connection. Among equals the turns go
round three ways: to the newest call, to the connection of which fewest calls wait (the oldest of equals), and to the
call that has waited longest, of the connections that have not been slow. So beside a thousand stuck calls an honest one
is received soon, and of many honest callers all have their turns.

Example: compose's Envoy brings 700 calls of one caller on 175 connections to two replicas with workers, four on each.
None of them ever ends. So a replica has 88 connections to try, three every 0.3 s. A call that comes in their midst, as
one of them, would have its turn after up to 9 s. It waits alone on its connection, so one of the next three turns is
its own.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import cycle
from typing import TypeVar

from service.errors import Overloaded
from service.rpc.admission import Held

_T = TypeVar("_T")

# A caller whose message comes slower than this is not waited for while others wait.
_SLOWEST_BYTES_A_SECOND = 4 * 2**20
# A short message has this time too: its caller may be busy, and so may this process.
SHORTEST_SECONDS = 0.25

# While calls wait, all are looked at so often; those that are being received may be found unfinished so many times, and
# those that wait may be found waiting. Looks are counted, not seconds: an event loop that was busy has looked at no
# message either.
_LOOK_SECONDS = 0.05
# Where more calls wait than this, each turn is as short as that of a short message: callers who are stuck by the
# hundred, behind a proxy on the connections of honest ones, are then out of the way within seconds.
_CROWD = 16
# A call waits while so many, one after the other, may hold the turn that it waits for; twice as long on a connection
# that has not been slow, so that up to 240 unknown ones are tried before a call of one is refused.
_MOST_TURNS_WAITING = 3


def longest_seconds(message_bytes: int) -> float:
    """The time that a message so large may take while other calls wait."""
    return max(SHORTEST_SECONDS, message_bytes / _SLOWEST_BYTES_A_SECOND)


_CONNECTIONS_REMEMBERED = 4096
# How a connection stands: its last message came to its end, nothing is known of it, its first one is being received,
# its last one was too slow.
_CAME, _UNKNOWN, _TRIED, _SLOW = range(4)


class Receiving:
    """Turns to receive a message. Lives on one event loop.

    Args:
        most: Calls that may be received at once.
        seconds: How long each may take while others wait.
    """

    def __init__(self, most: int, seconds: float = SHORTEST_SECONDS) -> None:
        self._most = most
        self._most_looks_unfinished = math.ceil(seconds / _LOOK_SECONDS)
        self._fewest_looks_unfinished = math.ceil(SHORTEST_SECONDS / _LOOK_SECONDS)
        self._most_looks_waiting = _MOST_TURNS_WAITING * self._most_looks_unfinished
        self._orders = cycle(("newest", "fewest", "oldest"))
        self._taken = 0
        self._with_turn: Counter[str] = Counter()  # calls that have a turn, by connection
        self._unfinished: dict[Held, _Turn] = {}  # of those, the calls that have begun it; the oldest first
        self._leaving = 0  # those that were evicted and still have a turn
        self._waiting: dict[_Waiting, None] = {}  # the oldest first
        self._counts: Counter[str] = Counter()  # of those, by connection
        # By connection: whether its last message came to its end. The one that was used longest ago is first.
        self._came: dict[str, bool] = {}
        self._look: asyncio.TimerHandle | None = None

    async def receive(self, held: Held, connection: Callable[[], str], read: Callable[[], Awaitable[_T]]) -> _T:
        """Receive a message once it is this call's turn.

        Args:
            held: The call, which is evicted where its message takes too long.
            connection: Names the connection that it came on.
            read: Gives the message.

        Raises:
            Overloaded: Its turn did not come in time.
        """
        name = connection()
        if self._taken < self._most:
            self._taken += 1
            self._with_turn[name] += 1
        else:
            await self._turn(name)
        self._unfinished[held] = _Turn(name)
        came = False
        try:
            message = await read()
            came = True
        finally:
            evicted = self._unfinished.pop(held, None) is None
            self._leaving -= evicted
            if came and not evicted:
                self._remember(name, came=True)
            self._end_turn(name)
        return message

    async def _turn(self, connection: str) -> None:
        """Wait for a turn."""
        waiting = _Waiting(asyncio.get_running_loop().create_future(), connection)
        self._waiting[waiting] = None
        self._counts[connection] += 1
        self._look_later()
        try:
            await waiting.turn
        except asyncio.CancelledError:
            self._forget(waiting)
            if not waiting.turn.cancelled() and waiting.turn.exception() is None:
                self._end_turn(connection)
            raise

    def _end_turn(self, connection: str) -> None:
        """Give the turn of a call to one that waits."""
        _count_down(self._with_turn, connection)
        while self._waiting:
            waiting = self._next()
            if not waiting.turn.done():
                self._forget(waiting)
                self._with_turn[waiting.connection] += 1
                waiting.turn.set_result(None)
                return
            # It was cancelled, and has not heard of it yet; so were many, where a connection ended.
            for each in [each for each in self._waiting if each.turn.done()]:
                self._forget(each)
        self._taken -= 1

    def _next(self) -> "_Waiting":
        """The call that gets the next turn."""
        order = next(self._orders)
        if order == "fewest":  # the oldest of equals
            return min(self._waiting, key=self._standing_and_count)
        if order == "oldest":
            for waiting in self._waiting:
                if self._standing(waiting) < _TRIED:
                    return waiting
            return next(iter(self._waiting))
        # A loop that ends soon where all callers are honest.
        for waiting in reversed(self._waiting):
            if self._came.get(waiting.connection):
                return waiting
        return min(reversed(self._waiting), key=self._standing)

    def _standing(self, waiting: "_Waiting") -> int:
        """The lower, the sooner its connection is expected to send a message at once."""
        came = self._came.get(waiting.connection)
        if came is not None:
            return _CAME if came else _SLOW
        return _TRIED if waiting.connection in self._with_turn else _UNKNOWN

    def _standing_and_count(self, waiting: "_Waiting") -> tuple[int, int]:
        return self._standing(waiting), self._counts[waiting.connection]

    def _remember(self, connection: str, *, came: bool) -> None:
        self._came.pop(connection, None)
        self._came[connection] = came
        if len(self._came) > _CONNECTIONS_REMEMBERED:
            del self._came[next(iter(self._came))]

    def _forget(self, waiting: "_Waiting") -> None:
        if waiting in self._waiting:
            del self._waiting[waiting]
            _count_down(self._counts, waiting.connection)

    def _look_later(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_at_all)

    def _look_at_all(self) -> None:
        """Take turns from calls that are slow, as many as others wait for; refuse calls that wait too long."""
        self._look = None
        needed = len(self._waiting)
        if not needed:
            return
        crowded = needed > _CROWD
        most_looks = self._fewest_looks_unfinished if crowded else self._most_looks_unfinished
        for held, turn in list(self._unfinished.items()):
            if turn.looks < most_looks:
                turn.looks += 1
            elif self._leaving < needed:
                del self._unfinished[held]
                self._leaving += 1
                # Now: of several that are evicted together, the first to leave gives its turn to another connection.
                self._remember(turn.connection, came=False)
                held.evict()
        for waiting in list(self._waiting):
            waiting.looks += 1
            if waiting.looks > self._most_looks_waiting * (1 if self._came.get(waiting.connection) is False else 2):
                self._forget(waiting)
                if not waiting.turn.done():
                    waiting.turn.set_exception(self._refusal())
        self._look_later()

    def _refusal(self) -> Overloaded:
        return Overloaded(
            f"{self._most} messages were being received, the most that are at once "
            "(max_inflight_bytes / max_message_bytes), and others came to their end before this one's turn",
            _LOOK_SECONDS * self._most_looks_unfinished,
        )


def _count_down(counts: Counter[str], name: str) -> None:
    """Without the names that count nothing any more."""
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


@dataclass(eq=False, slots=True)
class _Turn:
    """Of a call that is being received."""

    connection: str
    looks: int = 0


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call that waits for its turn."""

    turn: asyncio.Future[None]
    connection: str
    looks: int = 0
