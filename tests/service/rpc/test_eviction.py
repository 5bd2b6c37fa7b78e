"""Which calls lose their places, and in which order."""

from dataclasses import dataclass

import pytest

from service.rpc.eviction import find_overdue, find_slowest, is_overdue, reading_seconds


@dataclass(eq=False)
class Call:
    """A call that may be evicted."""

    evicted: bool = False
    received_bytes: int = 0
    since: float = 0.0
    unread_bytes: int = 0
    unread_since: float | None = None


@pytest.mark.parametrize(("answer_bytes", "seconds"), [(0, 1), (1, 1), (4 * 2**20, 1), (32 * 2**20, 8)])
def test_a_caller_may_take_a_second_or_4_mib_a_second(answer_bytes: int, seconds: float) -> None:
    """The longer of the two, to the end of that time."""
    assert reading_seconds(answer_bytes) == seconds
    call = Call(unread_bytes=answer_bytes, unread_since=100.0)
    assert not is_overdue(call, 100.0 + seconds)
    assert is_overdue(call, 100.0 + seconds + 1e-6)


def test_the_most_overdue_answers_come_first() -> None:
    """Without calls that have read everything, that still have time, or that have lost their places already."""
    recent, oldest, older = (Call(unread_since=since) for since in (9.5, 1.0, 2.0))
    gone = Call(evicted=True, unread_since=0.5)
    assert find_overdue([recent, Call(), older, gone, oldest], 10.0) == [oldest, older]


def test_the_slowest_senders_come_first() -> None:
    """By the bytes of the unfinished message for its time; a call without such a message sends nothing."""
    stuck, slow, fast = Call(received_bytes=300), Call(received_bytes=400), Call(received_bytes=150, since=9.0)
    assert find_slowest([fast, Call(unread_since=0.0), slow, stuck], 10.0) == [stuck, slow, fast]


def test_a_message_that_has_just_begun_is_not_infinitely_fast() -> None:
    """Within a millisecond only the bytes count."""
    short, long = Call(received_bytes=1, since=10.0), Call(received_bytes=2, since=10.0)
    assert find_slowest([long, short], 10.0) == [short, long]
