"""The end of a batcher: drain answers what was accepted, close fails what waits."""

import asyncio
import gc
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.batching.request import Outputs, Rows
from service.errors import DeadlineExceeded, Draining, InferenceFailed
from tests.kit.clock import Clock
from tests.kit.parts.batching import (
    HeldRun,
    Witness,
    begin_run,
    check_answer,
    double,
    new_batcher,
    outcomes_of,
    some_rows,
    turns,
)
from tests.kit.waiting import run_test


def test_drain_answers_what_was_accepted_and_refuses_the_rest() -> None:
    """drain() returns after the last accepted row is answered; twice at once is fine."""

    async def test() -> None:
        held, witness = HeldRun(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, witness=witness)
            accepted = [*await begin_run(held, batcher, 1), asyncio.create_task(batcher.submit(some_rows(20, 3.0)))]
            await turns()
            drains = [asyncio.create_task(batcher.drain()) for _ in range(2)]
            await turns()
            with pytest.raises(Draining):
                await batcher.submit(some_rows(1))
            assert not any(drain.done() for drain in drains)
            held.open.set()
            await asyncio.gather(*drains)
            check_answer(some_rows(1), await accepted[0])
            check_answer(some_rows(20, 3.0), await accepted[1])
            assert witness.of("rejected") == ["draining"]
            await batcher.drain()

    run_test(test())


def test_drain_ends_when_the_last_caller_leaves() -> None:
    """A queue that empties by cancellation is drained too."""

    async def test() -> None:
        batcher = new_batcher(max_queue_delay_seconds=1000)
        leaver = asyncio.create_task(batcher.submit(some_rows(1)))
        await asyncio.sleep(0)
        drain = asyncio.create_task(batcher.drain())
        leaver.cancel()
        await drain
        await outcomes_of([leaver])

    run_test(test())


def test_drain_ends_when_the_batcher_breaks(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing more is answered, so drain() returns."""

    async def test() -> None:
        held, witness = HeldRun(), Witness(broken=True)
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, witness=witness)
            asked = [*await begin_run(held, batcher, 1), asyncio.create_task(batcher.submit(some_rows(2)))]
            await turns()
            drain = asyncio.create_task(batcher.drain())
            await turns()
            held.open.set()
            await drain
            assert all(isinstance(outcome, InferenceFailed) for outcome in await outcomes_of(asked))

    with caplog.at_level(logging.CRITICAL):
        run_test(test())
    assert "a batcher broke" in caplog.text


def test_drain_ends_when_all_that_waits_is_late() -> None:
    """No run follows, and drain() returns."""

    async def test() -> None:
        clock, held = Clock(100.0), HeldRun()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, clock=clock)
            (first,) = await begin_run(held, batcher, 1)
            late = asyncio.create_task(batcher.submit(some_rows(2), clock.now + 1))
            await turns()
            drain = asyncio.create_task(batcher.drain())
            clock.now += 2
            held.open.set()
            await drain
            await first
            with pytest.raises(DeadlineExceeded):
                await late
            assert held.runs == [1]

    run_test(test())


def test_close_fails_what_waits_and_waits_for_the_run() -> None:
    """After the grace period waiting requests fail, and the request in the current run gets its answer."""

    async def test() -> None:
        held, witness = HeldRun(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, witness=witness)
            (running,) = await begin_run(held, batcher, 1)
            waiting = asyncio.create_task(batcher.submit(some_rows(2)))
            await turns()
            closing = asyncio.create_task(batcher.close())
            with pytest.raises(Draining):
                await waiting
            assert not closing.done()
            held.open.set()
            await closing
            check_answer(some_rows(1), await running)
            assert witness.of("rejected") == ["draining"]

    run_test(test())


def test_a_closed_batcher_lets_its_model_go() -> None:
    """At once, without the garbage collector, which ignores objects that existed when the server became ready."""

    class Model:
        def __call__(self, rows: Rows) -> Outputs:
            return double(rows)

    async def test() -> None:
        model = Model()
        gone = weakref.ref(model)
        batcher = new_batcher(model)
        await batcher.submit(some_rows(1))
        await batcher.close()
        gc.disable()
        try:
            del model
            assert gone() is None
        finally:
            gc.enable()

    run_test(test())
