"""Receives the messages of a bounded number of calls at once, since nobody sees what gRPC's core holds of them.

The core receives a message as a whole before Python sees a byte of it, and tells nobody how much of it is there. Each
call that is being received may therefore hold the largest message, and the number of such calls is bounded. A call
that waits for its turn is unread: the core holds at most its flow-control window of it.

A message that its caller sends at once is received within a turn or two of the event loop, and one that comes over a
slow link takes its time. So a call that takes longer than the largest message does at the slowest speed that is honest
gives its turn away once others wait for one; much sooner where many wait, since that is no crowd of honest uploads. The
next turn goes to a connection whose last message came to its end, then to one that nothing is known of, and among
equals to the newest call: beside a thousand stuck calls an honest one is received as soon as any turn is free. Every
other turn goes to the call that has waited longest, of the connections that have not been slow, so that the newest do
not take all. Calls that have waited too long are refused.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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
# A call waits while so many, one after the other, may hold the turn that it waits for.
_MOST_TURNS_WAITING = 3


def longest_seconds(message_bytes: int) -> float:
    """The time that a message so large may take while other calls wait."""
    return max(SHORTEST_SECONDS, message_bytes / _SLOWEST_BYTES_A_SECOND)


_CONNECTIONS_REMEMBERED = 4096


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
        self._oldest_next = False
        self._taken = 0
        self._unfinished: dict[Held, int] = {}  # those that have a turn, with their looks, the oldest first
        self._leaving = 0  # those that were evicted and still have a turn
        self._waiting: dict[str, list[_Waiting]] = {}  # by connection, the oldest first
        self._came: dict[str, bool] = {}  # by connection: whether its last message came to its end
        self._arrivals = 0
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
        if self._taken < self._most:
            self._taken += 1
        else:
            await self._turn(connection())
        self._unfinished[held] = 0
        try:
            message = await read()
        finally:
            evicted = self._unfinished.pop(held, None) is None
            self._leaving -= evicted
            self._remember(connection(), came=not evicted)
            self._give_turn()
        return message

    async def _turn(self, connection: str) -> None:
        """Wait for a turn."""
        self._arrivals += 1
        waiting = _Waiting(asyncio.get_running_loop().create_future(), self._arrivals)
        self._waiting.setdefault(connection, []).append(waiting)
        self._look_later()
        try:
            await waiting.turn
        except asyncio.CancelledError:
            self._forget(connection, waiting)
            if not waiting.turn.cancelled() and waiting.turn.exception() is None:
                self._give_turn()
            raise

    def _give_turn(self) -> None:
        """Give a free turn to a call that waits."""
        while self._waiting:
            if self._oldest_next:
                connection = min(self._waiting, key=self._rank_of_oldest)
                waiting = self._waiting[connection][0]
            else:
                connection = min(self._waiting, key=self._rank)
                waiting = self._waiting[connection][-1]
            self._forget(connection, waiting)
            if not waiting.turn.done():  # else it was cancelled, and has not heard of it yet
                self._oldest_next = not self._oldest_next
                waiting.turn.set_result(None)
                return
        self._taken -= 1

    def _rank(self, connection: str) -> tuple[int, int]:
        """The lower, the sooner a connection gets a turn."""
        came = self._came.get(connection)
        return 1 if came is None else 0 if came else 2, -self._waiting[connection][-1].arrival

    def _rank_of_oldest(self, connection: str) -> tuple[bool, int]:
        """The lower, the sooner a connection gets one of the turns that go to those who have waited longest."""
        return self._came.get(connection) is False, self._waiting[connection][0].arrival

    def _remember(self, connection: str, *, came: bool) -> None:
        if self._came.get(connection) is not came:
            self._came[connection] = came
            if len(self._came) > _CONNECTIONS_REMEMBERED:
                del self._came[next(iter(self._came))]

    def _forget(self, connection: str, waiting: "_Waiting") -> None:
        those = self._waiting.get(connection, [])
        if waiting in those:
            those.remove(waiting)
            if not those:
                del self._waiting[connection]

    def _look_later(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_at_all)

    def _look_at_all(self) -> None:
        """Take turns from calls that are slow, as many as others wait for; refuse calls that wait too long."""
        self._look = None
        needed = sum(map(len, self._waiting.values()))
        if not needed:
            return
        crowded = needed > _CROWD
        most_looks = self._fewest_looks_unfinished if crowded else self._most_looks_unfinished
        for held, looks in list(self._unfinished.items()):
            if looks < most_looks:
                self._unfinished[held] = looks + 1
            elif self._leaving < needed:
                del self._unfinished[held]
                self._leaving += 1
                held.evict()
        for connection, those in list(self._waiting.items()):
            for waiting in list(those):
                waiting.looks += 1
                if waiting.looks > self._most_looks_waiting:
                    self._forget(connection, waiting)
                    if not waiting.turn.done():
                        waiting.turn.set_exception(self._refusal())
        self._look_later()

    def _refusal(self) -> Overloaded:
        return Overloaded(
            f"{self._most} messages were being received, the most that are at once "
            "(max_inflight_bytes / max_message_bytes), and others came to their end before this one's turn",
            _LOOK_SECONDS * self._most_looks_unfinished,
        )


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call that waits for its turn."""

    turn: asyncio.Future[None]
    arrival: int
    looks: int = 0
