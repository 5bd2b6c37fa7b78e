"""Callers that leave: their rows are not run, and the other requests of the batch are answered."""

import asyncio
import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.batching.request import Outputs, Result, Rows
from service.errors import InferenceFailed
from tests.kit.parts.batching import (
    HeldRun,
    Witness,
    begin_run,
    check_answer,
    double,
    new_batcher,
    outcomes_of,
    send_crowd,
    some_rows,
    turns,
)
from tests.kit.waiting import run_test


def test_a_cancelled_caller_frees_its_rows_at_once_and_harms_nobody() -> None:
    """The rows of a cancelled request are never run and make room at once. Other requests get their own answers."""

    async def test() -> None:
        held, witness = HeldRun(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, max_queue_rows=6, witness=witness)
            (first,) = await begin_run(held, batcher, 1)
            before, leaver, after = (asyncio.create_task(batcher.submit(some_rows(2, index))) for index in range(3))
            await turns()
            leaver.cancel()
            await turns()
            newcomer = asyncio.create_task(batcher.submit(some_rows(2, 9.0)))
            await turns()
            held.open.set()
            outcomes = await outcomes_of([first, before, leaver, after, newcomer])
            assert isinstance(outcomes[2], asyncio.CancelledError)
            check_answer(some_rows(2, 0), await before)
            check_answer(some_rows(2, 2), await after)
            check_answer(some_rows(2, 9.0), await newcomer)
            assert held.runs == [1, 6]
            assert witness.of("rejected") == ["cancelled"]

    run_test(test())


def test_a_caller_cancelled_in_its_run_harms_nobody() -> None:
    """Leaving while the rows are being computed leaves the batch mates their answers, and counts as no rejection."""

    async def test() -> None:
        held, witness = HeldRun(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, witness=witness)
            leaver, mate = await begin_run(held, batcher, 2, 2)
            leaver.cancel()
            await turns()
            held.open.set()
            check_answer(some_rows(2, 1), await mate)
            assert held.runs == [4]
            assert witness.of("rejected") == []

    run_test(test())


def test_a_caller_that_left_a_run_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The other callers of that run get its error, and the batcher goes on."""

    async def test() -> None:
        held = HeldRun()

        def run(rows: Rows) -> Outputs:
            held(rows)
            raise FloatingPointError

        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(run, executor=executor)
            leaver, mate = await begin_run(held, batcher, 2, 2)
            leaver.cancel()
            await turns()
            held.open.set()
            with pytest.raises(InferenceFailed):
                await mate
            assert batcher.alive

    with caplog.at_level(logging.ERROR):
        run_test(test())
    assert [record.message for record in caplog.records] == ["a model: a run failed"]


def test_the_rest_of_a_large_request_is_not_run_once_its_caller_left() -> None:
    """Cancelling between blocks stops the work."""

    async def test() -> None:
        held = HeldRun()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, max_batch_rows=4)
            (large,) = await begin_run(held, batcher, 40)
            large.cancel()
            await turns()
            held.open.set()
            await batcher.drain()
            assert held.runs == [4]

    run_test(test())


def test_cancelled_and_dispatched_in_the_same_turn_is_not_run() -> None:
    """A cancellation that the caller's task has not seen yet is seen by the dispatch."""

    async def test() -> None:
        witness = Witness()
        batcher = new_batcher(witness=witness)
        await send_crowd(batcher)
        witness.events.clear()
        task = asyncio.create_task(batcher.submit(some_rows(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (witness.of("ran"), witness.of("rejected")) == ([], ["cancelled"])
        assert witness.of("queued")[-1] == 0

    run_test(test())


def test_an_error_and_a_cancellation_in_the_same_turn_leave_no_unseen_exception() -> None:
    """Nothing is logged when a caller leaves in the turn in which its run failed."""

    async def test() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        leavers: list[asyncio.Task[Result]] = []

        def run(rows: Rows) -> Outputs:
            if not leavers:
                return double(rows)
            # The future fails right after this; its task resumes a turn later, cancelled.
            asyncio.get_running_loop().call_soon(leavers[0].cancel)
            raise RuntimeError("no")

        batcher = new_batcher(run)
        await send_crowd(batcher)
        leavers.append(asyncio.create_task(batcher.submit(some_rows(1))))
        outcomes = await outcomes_of(leavers)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        del outcomes
        leavers.clear()
        gc.collect()
        assert complaints == []

    run_test(test())
