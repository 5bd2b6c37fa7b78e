"""A queue delay: requests are held back for a fuller batch, and never longer than they can wait."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kit.clock import Clock
from tests.kit.parts.batching import HeldRun, Witness, check_answer, new_batcher, some_rows, turns
from tests.kit.waiting import run_test


def test_a_delay_holds_back_until_the_batch_is_full() -> None:
    """With a delay, a lone request waits for more rows, and a full batch ends the wait."""

    async def test() -> None:
        witness = Witness()
        batcher = new_batcher(witness=witness, max_queue_delay_seconds=1000, max_batch_rows=4)
        first = asyncio.create_task(batcher.submit(some_rows(1)))
        await turns()
        assert witness.of("ran") == []
        second = asyncio.create_task(batcher.submit(some_rows(3, 5.0)))
        check_answer(some_rows(1), await first)
        check_answer(some_rows(3, 5.0), await second)
        assert witness.of("ran") == [4]

    run_test(test())


@pytest.mark.parametrize("sizes", [(1, 3), (1, 1, 2)])
def test_a_delay_that_a_full_batch_ended_starts_no_second_run(sizes: Sequence[int]) -> None:
    """The one timer of a delay is void once its batch runs: later requests wait for the thread."""

    async def test() -> None:
        held, over = HeldRun(), asyncio.Event()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor, max_queue_delay_seconds=0.3, max_batch_rows=4)
            requests = [some_rows(size, 5.0 * index) for index, size in enumerate((*sizes, 2))]
            tasks = []
            for rows in requests:
                tasks.append(asyncio.create_task(batcher.submit(rows)))
                await turns()
            asyncio.get_running_loop().call_later(0.4, over.set)  # after the delay, on the same timers
            await over.wait()
            held.open.set()
            for rows, task in zip(requests, tasks, strict=True):
                check_answer(rows, await task)
            assert held.runs == [4, 2]

    run_test(test())


def test_a_delay_ends_by_itself() -> None:
    """A lone request runs when its delay is over, if no other request arrives."""

    async def test() -> None:
        batcher = new_batcher(max_queue_delay_seconds=0.005)
        check_answer(some_rows(1), await batcher.submit(some_rows(1)))

    run_test(test())


def test_a_delay_never_costs_a_deadline() -> None:
    """A request whose deadline falls into the delay is not held back."""

    async def test() -> None:
        clock = Clock(100.0)
        batcher = new_batcher(clock=clock, max_queue_delay_seconds=1000)
        patient = asyncio.create_task(batcher.submit(some_rows(1)))
        await turns()
        assert not patient.done()
        check_answer(some_rows(2), await batcher.submit(some_rows(2), clock.now + 500))
        check_answer(some_rows(1), await patient)

    run_test(test())


def test_drain_does_not_wait_for_a_delay() -> None:
    """During a drain no request waits for a batch to fill."""

    async def test() -> None:
        witness = Witness()
        batcher = new_batcher(witness=witness, max_queue_delay_seconds=1000)
        await batcher.submit(some_rows(8))  # a full batch
        task = asyncio.create_task(batcher.submit(some_rows(1)))
        await turns()
        await batcher.drain()
        assert witness.of("ran") == [8, 1]
        check_answer(some_rows(1), await task)

    run_test(test())
