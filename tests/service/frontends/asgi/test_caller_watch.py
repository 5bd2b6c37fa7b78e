"""Which open calls are ended, and how often their callers are asked. Answers are plain futures here, as pyvoy's are."""

import asyncio
import gc
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from service.frontends.asgi.caller_watch import SLOT_SECONDS, CallerWatch
from service.frontends.asgi.open_call import OpenCall
from service.rpc.request import RequestContext
from tests.kit.clock import Clock
from tests.kit.waiting import run_test, until

_HERE, _GONE = {"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}
_Receive = Callable[[], Awaitable[Mapping[str, Any]]]


def _open(receive: _Receive, deadline: float | None = None) -> OpenCall:
    """A call that is answered for ever, and whose request is there."""
    nobody: Any = None
    task = asyncio.create_task(asyncio.Event().wait())
    return OpenCall(task, receive, nobody, "identity", {}, nobody, RequestContext(deadline), body_read=True)


def _answering(event: Mapping[str, Any], asked: list[float] | None = None, clock: Clock | None = None) -> _Receive:
    """Gives this event at once, and records when it was asked for."""

    async def receive() -> Mapping[str, Any]:
        if asked is not None and clock is not None:
            asked.append(clock())
        return event

    return receive


def _never() -> Awaitable[Mapping[str, Any]]:
    return asyncio.get_running_loop().create_future()


async def _pass(watch: CallerWatch, clock: Clock, seconds: float) -> None:
    """Let so much time pass, slot by slot."""
    for _ in range(round(seconds / SLOT_SECONDS)):
        clock.now += SLOT_SECONDS + 1e-9
        watch.look()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_an_answer_that_never_comes_delays_no_other_call() -> None:
    """Its own deadline, the deadlines of others, and callers who have gone: all are seen."""

    async def test() -> None:
        clock = Clock()
        watch = CallerWatch(clock)
        stuck, late = _open(_never, clock() + 5), _open(_never, clock() + 1)
        gone, here = _open(_answering(_GONE)), _open(_answering(_HERE))
        for call in (stuck, late, gone, here):
            watch.add(call)
        await _pass(watch, clock, 2)
        assert [call.task.cancelled() for call in (stuck, late, gone, here)] == [False, True, True, False]
        assert (late.late, gone.late) == (True, False)
        await _pass(watch, clock, 4)
        assert (stuck.late, stuck.task.cancelled(), here.task.cancelled()) == (True, True, False)
        watch.close()

    run_test(test())


def test_an_old_call_is_asked_seldom() -> None:
    """After an eighth of its age, and after 2 s at the latest."""

    async def test() -> None:
        clock, asked = Clock(), list[float]()
        watch = CallerWatch(clock)
        call = _open(_answering(_HERE, asked, clock))
        watch.add(call)
        began = clock()
        await _pass(watch, clock, 60)
        waits = [(after - before, before - began) for before, after in itertools.pairwise(asked)]
        assert asked[0] - began <= 2 * SLOT_SECONDS + 1e-3
        assert all(wait <= max(SLOT_SECONDS, age / 8) + 1e-3 for wait, age in waits)
        assert all(wait >= min(age / 8, 2) - SLOT_SECONDS for wait, age in waits)
        assert max(wait for wait, _ in waits) == pytest.approx(2, abs=1e-3)
        watch.close()

    run_test(test())


def test_a_thousand_idle_calls_cost_half_a_question_a_second_each() -> None:
    """From the start, and spread: no slot has more than its share, since each question wakes three threads."""

    async def test() -> None:
        clock, asked = Clock(), list[float]()
        watch = CallerWatch(clock)
        calls = [_open(_answering(_HERE, asked, clock)) for _ in range(1000)]
        for call in calls:
            watch.add(call, idle=True)
        await _pass(watch, clock, 10)
        assert 4000 <= len(asked) <= 5000
        assert max(map(asked.count, {*asked})) == 25
        for call in calls:
            call.task.cancel()
        watch.close()

    run_test(test())


def test_a_call_that_is_over_is_left_alone() -> None:
    """It is not asked, and an answer that comes later cancels nothing."""

    async def test() -> None:
        clock = Clock()
        watch = CallerWatch(clock)
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        asked, over = _open(lambda: answer), _open(_answering(_GONE), clock() + 0.3)
        for call in (asked, over):
            watch.add(call)
        watch.remove(over)
        await _pass(watch, clock, 1)
        watch.remove(asked)
        answer.set_result(_GONE)
        await _pass(watch, clock, 1)
        assert not asked.task.cancelled()
        assert not over.task.cancelled()
        watch.close()

    run_test(test())


def test_an_event_loop_that_was_busy_catches_up() -> None:
    """All deadlines of the meantime are seen in the first look after it, however long it took."""

    async def test() -> None:
        clock = Clock()
        watch = CallerWatch(clock)
        calls = [_open(_never, clock() + 0.1 * number) for number in range(1, 200)]
        for call in calls:
            watch.add(call)
        clock.now += 60
        watch.look()
        assert all(call.late for call in calls)
        watch.close()

    run_test(test())


def test_a_failed_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The call goes on, and is asked again."""

    async def test() -> None:
        clock, asked = Clock(), list[int]()
        watch = CallerWatch(clock)

        async def fail() -> Mapping[str, Any]:
            asked.append(1)
            raise OSError("no answer")

        def fail_at_once() -> Awaitable[Mapping[str, Any]]:
            raise OSError("not even a future")

        calls = [_open(fail), _open(fail_at_once)]
        for call in calls:
            watch.add(call)
        await _pass(watch, clock, 1)
        assert len(asked) > 1
        assert not any(call.task.cancelled() for call in calls)
        assert "no answer" in caplog.text
        assert "not even a future" in caplog.text
        watch.close()

    run_test(test())


def test_a_failure_after_the_end_of_a_call_is_no_line_in_the_log() -> None:
    """The call is over, so nobody waits for the answer; asyncio does not complain of an exception without a reader."""
    told = list[object]()

    async def test() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        clock = Clock()
        watch = CallerWatch(clock)
        answers = [asyncio.get_running_loop().create_future()]
        failed = answers[0]
        call = _open(lambda: answers.pop())
        watch.add(call)
        await _pass(watch, clock, 1)
        assert not answers
        watch.remove(call)
        failed.set_exception(OSError("no answer"))
        del failed
        await _pass(watch, clock, 1)
        gc.collect()
        watch.close()

    run_test(test())
    assert told == []


def test_it_looks_by_itself() -> None:
    """On the real clock, until it is closed."""

    async def test() -> None:
        watch = CallerWatch()
        call = _open(_answering(_GONE))
        watch.add(call)
        await until(call.task.cancelled)
        watch.close()

    run_test(test())
