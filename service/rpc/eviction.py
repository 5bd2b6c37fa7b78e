"""Which calls lose their places to others: those whose callers do not read, then those whose callers send slowest."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

# A caller who takes an answer slower than this loses it once others need its room. Any answer has a second: that is
# three times to the other side of the world and back.
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
    """The time that the caller may take to read so much while others need its room."""
    return max(_SHORTEST_READING_SECONDS, answer_bytes / _SLOWEST_BYTES_A_SECOND)


def is_overdue(call: Evictable, now: float) -> bool:
    """Whether the caller has had longer for its answers than an honest one needs."""
    return call.unread_since is not None and now - call.unread_since > reading_seconds(call.unread_bytes)


def find_overdue(calls: Iterable[_Call], now: float) -> list[_Call]:
    """Calls whose answers have been unread for too long, the most overdue first."""
    late = [call for call in calls if is_overdue(call, now) and not call.evicted]
    return sorted(late, key=lambda call: call.unread_since or 0.0)


def find_slowest(calls: Iterable[_Call], now: float) -> list[_Call]:
    """Calls with an unfinished message, those first that have sent the least of it for their time."""
    sending = [call for call in calls if call.received_bytes]
    return sorted(sending, key=lambda call: call.received_bytes / max(now - call.since, _SHORTEST_SECONDS))
