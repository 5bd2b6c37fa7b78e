"""Requests that are refused at the door, and requests that are late in the queue: neither is run."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.errors import DeadlineExceeded, Draining, InvalidRequest, Overloaded
from tests.kit.clock import Clock
from tests.kit.parts.batching import (
    HeldRun,
    Witness,
    begin_run,
    check_answer,
    double_in,
    new_batcher,
    outcomes_of,
    send_crowd,
    some_rows,
    turns,
)
from tests.kit.waiting import run_test


def test_an_idle_batcher_refuses_what_a_busy_one_refuses() -> None:
    """An idle batcher too refuses requests past its bound, past a deadline, without rows, or after its end."""

    async def test() -> None:
        clock, witness = Clock(100.0), Witness()
        batcher = new_batcher(max_queue_rows=4, clock=clock, witness=witness)
        with pytest.raises(Overloaded, match="bound of 4"):
            await batcher.submit(some_rows(5))
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(some_rows(1), clock.now)
        with pytest.raises(InvalidRequest):
            await batcher.submit(some_rows(0))
        await batcher.drain()
        with pytest.raises(Draining):
            await batcher.submit(some_rows(1))
        assert witness.events == [("rejected", "overload"), ("rejected", "deadline"), ("rejected", "draining")]

    run_test(test())


def test_no_rows_are_refused() -> None:
    """A request without rows could never be complete, so it is an error."""

    async def test() -> None:
        with pytest.raises(InvalidRequest, match="no rows"):
            await new_batcher().submit(some_rows(0))

    run_test(test())


def test_rows_past_the_bound_are_refused_at_once() -> None:
    """A full queue refuses before anything waits, says by how much, and takes rows again once there is room."""

    async def test() -> None:
        held, witness = HeldRun(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, max_queue_rows=5, witness=witness)
            (first,) = await begin_run(held, batcher, 1)
            waiting = asyncio.create_task(batcher.submit(some_rows(4)))
            await turns()
            with pytest.raises(Overloaded, match="bound of 5"):
                await batcher.submit(some_rows(2))
            fits = asyncio.create_task(batcher.submit(some_rows(1)))
            await turns()
            held.open.set()
            await asyncio.gather(first, waiting, fits)
            check_answer(some_rows(5), await batcher.submit(some_rows(5)))
            assert witness.of("rejected") == ["overload"]

    run_test(test())


def test_a_refusal_tells_when_there_is_room() -> None:
    """The rows that wait, times what a row took of late: 4 rows of 0.5 s."""

    async def test() -> None:
        clock = Clock(100.0)
        batcher = new_batcher(double_in(clock, row_seconds=0.5), clock=clock, max_queue_rows=5, quiet_turns=3)
        await send_crowd(batcher)
        waiting = asyncio.create_task(batcher.submit(some_rows(4)))
        await turns(1)
        with pytest.raises(Overloaded) as caught:
            await batcher.submit(some_rows(2))
        assert caught.value.retry_after_seconds == pytest.approx(2)
        await waiting

    run_test(test())


def test_late_rows_are_not_run() -> None:
    """A deadline that passes in the queue fails its own request, unrun; one already past is refused at the door."""

    async def test() -> None:
        clock, held, witness = Clock(100.0), HeldRun(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, clock=clock, witness=witness)
            (first,) = await begin_run(held, batcher, 1)
            late = asyncio.create_task(batcher.submit(some_rows(2), clock.now + 1))
            in_time = asyncio.create_task(batcher.submit(some_rows(3), clock.now + 3))
            await turns()
            clock.now += 2
            held.open.set()
            outcomes = await outcomes_of([first, late, in_time])
            assert isinstance(outcomes[1], DeadlineExceeded)
            assert "2 rows unrun after 2.0" in str(outcomes[1])
            check_answer(some_rows(3), await in_time)
            assert held.runs == [1, 3]
            with pytest.raises(DeadlineExceeded):
                await batcher.submit(some_rows(1), clock.now)
            assert witness.of("rejected") == ["deadline", "deadline"]
            assert witness.of("queued")[-1] == 0

    run_test(test())
