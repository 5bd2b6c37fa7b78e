"""Which calls are evicted: first those with answers that nobody reads, then those that send slowest."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

# Below this speed of reading, an answer may be dropped when others need its room. Every answer gets at least one
# second, which is about three intercontinental round trips.
_SLOWEST_BYTES_A_SECOND = 4 * 2**20
_SHORTEST_READING_SECONDS = 1.0
# Within a shorter time a caller's speed says nothing.
_SHORTEST_SECONDS = 1e-3


class Evictable(Protocol):
    """A call that may be evicted. Its attributes are those of :class:`service.rpc.admission.Held`."""

    evicted: bool
    received_bytes: int
    since: float
    unread_bytes: int
    unread_since: float | None


_Call = TypeVar("_Call", bound=Evictable)


def reading_seconds(answer_bytes: int) -> float:
    """The time that a caller may take to read ``answer_bytes`` while others need the room."""
    return max(_SHORTEST_READING_SECONDS, answer_bytes / _SLOWEST_BYTES_A_SECOND)


def is_overdue(call: Evictable, now: float) -> bool:
    """Whether the caller has had longer for its answers than :func:`reading_seconds`."""
    return call.unread_since is not None and now - call.unread_since > reading_seconds(call.unread_bytes)


def find_overdue(calls: Iterable[_Call], now: float) -> list[_Call]:
    """Calls whose answers have been unread for too long, the most overdue first."""
    late = [call for call in calls if is_overdue(call, now) and not call.evicted]
    return sorted(late, key=lambda call: call.unread_since or 0.0)


def find_slowest(calls: Iterable[_Call], now: float) -> list[_Call]:
    """Calls with an unfinished message, those first that have sent the least of it for their time."""
    sending = [call for call in calls if call.received_bytes]
    return sorted(sending, key=lambda call: call.received_bytes / max(now - call.since, _SHORTEST_SECONDS))
