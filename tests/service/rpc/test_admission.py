"""The bytes and calls that are held at once, and which calls are evicted."""

import asyncio
from contextlib import suppress

import pytest

from service.errors import Overloaded
from service.rpc.admission import Admission, Held
from service.rpc.bounds import Bounds
from tests.kit.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock(0.0)


@pytest.fixture
def admission(clock: Clock) -> Admission:
    """Room for 8 calls, 2 streams and 800 bytes."""
    return Admission(Bounds(calls=8, streams=2, held_bytes=800), clock)


def _call(admission: Admission, cancelled: list[Held] | None = None, *, stream: bool = False) -> Held:
    def cancel() -> None:
        if cancelled is not None:
            cancelled.append(held)

    held = admission.admit(stream=stream, cancel=cancel)
    return held


def test_calls_and_streams_are_counted_apart(admission: Admission) -> None:
    """One more than the bound is refused, with a time for the next try. A call that ends makes room."""
    calls = [_call(admission) for _ in range(8)]
    streams = [_call(admission, stream=True) for _ in range(2)]
    with pytest.raises(Overloaded, match="max_calls") as caught:
        _call(admission)
    assert caught.value.retry_after_seconds > 0
    with pytest.raises(Overloaded, match="max_streams"):
        _call(admission, stream=True)
    calls[0].close()
    streams[0].close()
    _call(admission)
    _call(admission, stream=True)


def test_a_complete_message_takes_the_place_of_unfinished_ones(admission: Admission, clock: Clock) -> None:
    """Calls that have sent the least for their time are evicted; the others stay."""
    cancelled: list[Held] = []
    stuck, slow, fast = (_call(admission, cancelled) for _ in range(3))
    for held, so_many in ((stuck, 300), (slow, 200)):
        held.receive(so_many)
    clock.now = 10
    slow.receive(301)
    fast.since = 9
    fast.receive(150)
    honest = _call(admission, cancelled)
    honest.complete(100)
    assert cancelled == [stuck]
    assert (stuck.evicted, honest.evicted) == (True, False)
    assert admission.held_bytes == 301 + 150 + 100


def test_complete_messages_refuse_the_next(admission: Admission) -> None:
    """They stay: the newest call is refused, and its bytes are dropped."""
    cancelled: list[Held] = []
    for _ in range(4):
        _call(admission, cancelled).complete(200)
    newest = _call(admission, cancelled)
    with pytest.raises(Overloaded, match="held"):
        newest.complete(1)
    newest.close()
    assert cancelled == []
    assert admission.held_bytes == 800


def test_nothing_is_held_once_all_calls_are_over(admission: Admission) -> None:
    """Whatever became of them: answered, evicted, refused, or left in the middle."""
    calls = [_call(admission) for _ in range(6)]
    streams = [_call(admission, stream=True) for _ in range(2)]
    for number, held in enumerate(calls):
        held.receive(100 * number)
    for held in streams:
        held.take(300)
        held.count_answer(300, 50)
        held.receive(40)
    for held in (*calls, *streams):
        held.close()
        if not held.evicted:
            held.receive(1)  # a handler that has not learned of the end
    assert admission.held_bytes == 0


def test_a_stream_that_holds_its_share_is_read_no_further(admission: Admission) -> None:
    """Half of the room is shared among the streams; one that has more waits until its caller has taken answers."""

    async def check() -> None:
        held = _call(admission, stream=True)
        held.take(200)
        await asyncio.wait_for(held.room(), 20)
        held.take(1)
        waiting = asyncio.create_task(held.room())
        held.count_answer(201, 250)
        await asyncio.sleep(0)
        assert not waiting.done()
        held.release_answer(50)
        await asyncio.wait_for(waiting, 20)

    asyncio.run(check())


def test_silence_before_a_message_is_no_slowness(admission: Admission, clock: Clock) -> None:
    """A stream that was silent for long and then sends stays. Stuck calls are evicted."""
    stream = _call(admission, stream=True)
    clock.now = 90.0
    stuck = [_call(admission) for _ in range(4)]
    for held in stuck:
        held.receive(180)
    clock.now = 100.0
    stream.receive(300)
    assert not stream.evicted
    assert any(held.evicted for held in stuck)


def test_an_answer_takes_the_place_of_its_request(admission: Admission) -> None:
    """A long one counts until the call is over, apart from requests; a short one counts among the calls alone."""
    admission = Admission(Bounds(calls=8, streams=2, held_bytes=10**6))
    held = _call(admission)
    held.complete(1000)
    held.answer(10**6)
    assert (admission.held_bytes, admission.answer_bytes) == (0, 10**6)
    short = _call(admission)
    short.complete(10**6)
    short.answer(1000)
    assert (admission.held_bytes, admission.answer_bytes) == (0, 10**6)
    held.close()
    assert admission.answer_bytes == 0


def test_answers_that_are_overdue_make_room(clock: Clock) -> None:
    """Overdue answers are lost, the most overdue first, once a new answer needs the room.

    If none is overdue, the new answer is refused. A caller that reads 4 MiB a second, or any answer within a second, is
    never overdue.
    """
    admission = Admission(Bounds(calls=8, streams=2, held_bytes=24 * 2**20), clock)
    cancelled: list[Held] = []
    first, second, third = (_call(admission, cancelled) for _ in range(3))
    first.answer(8 * 2**20)
    clock.now = 0.1
    second.answer(8 * 2**20)
    clock.now = 1.9
    third.answer(8 * 2**20)
    with pytest.raises(Overloaded, match="not read") as caught:
        _call(admission).answer(8 * 2**20)
    assert caught.value.retry_after_seconds > 0
    assert cancelled == []
    clock.now = 2.2
    _call(admission).answer(8 * 2**20)
    assert cancelled == [first, second]  # eviction goes on for a little, so that it is seldom
    assert admission.answer_bytes == 16 * 2**20
    for held in (first, second, third):
        held.close()
    assert admission.answer_bytes == 8 * 2**20


def test_answers_that_nobody_reads_keep_no_places(admission: Admission, clock: Clock) -> None:
    """Where all calls are open, those lose their places whose short answers wait for more than a second."""
    cancelled: list[Held] = []
    unread = [_call(admission, cancelled) for _ in range(4)]
    for held in unread:
        held.answer(10)
    for _ in range(4):
        _call(admission, cancelled)
    with pytest.raises(Overloaded):
        _call(admission)
    assert cancelled == []
    clock.now = 1.1
    with pytest.raises(Overloaded):
        _call(admission)
    assert set(cancelled) == set(unread)
    for held in unread:
        held.close()
    _call(admission)


def test_a_stream_that_is_read_keeps_its_place(admission: Admission, clock: Clock) -> None:
    """Small answers that were just made are no slowness; those that wait for more than a second are."""
    cancelled: list[Held] = []
    stream = _call(admission, cancelled, stream=True)
    clock.now = 90.0
    stream.take(10)
    stream.count_answer(10, 10)
    for _ in range(4):
        with suppress(Overloaded):
            _call(admission, cancelled).receive(250)
    assert stream not in cancelled
    cancelled.clear()
    clock.now = 92.0
    for _ in range(4):
        with suppress(Overloaded):
            _call(admission, cancelled).receive(250)
    assert stream in cancelled
