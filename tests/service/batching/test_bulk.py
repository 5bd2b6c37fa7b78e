"""Bulk requests beside interactive ones: which run first, and how many bulk rows a run takes."""

import asyncio

import pytest

from service.batching.request import Outputs, Rows
from tests.kit.clock import Clock
from tests.kit.parts.batching import check_answer, double, new_batcher, send_crowd, some_rows
from tests.kit.waiting import run_test


def test_interactive_requests_go_before_bulk_ones() -> None:
    """A bulk request runs after interactive ones that arrived later, until the fourth batch."""

    async def test() -> None:
        order: list[float] = []

        def run(rows: Rows) -> Outputs:
            order.extend(rows[:, 0].tolist())
            return double(rows)

        batcher = new_batcher(run, max_batch_rows=2)
        await send_crowd(batcher)
        order.clear()
        requests = [(10.0, True), (20.0, True), (30.0, False), (40.0, False), (50.0, True)]
        await asyncio.gather(*(batcher.submit(some_rows(1, first), bulk=bulk) for first, bulk in requests))
        assert order == [30, 40, 10, 20, 50]

    run_test(test())


@pytest.mark.parametrize(("row_seconds", "longest"), [(1e-6, 512), (1e-5, 100), (1e-4, 32)])
def test_bulk_rows_run_in_short_batches_while_interactive_requests_come(row_seconds: float, longest: int) -> None:
    """Such a batch has as many bulk rows as run in 1 ms, and at least 32. Without interactive requests it is full."""

    async def test() -> None:
        clock = Clock(100.0)
        runs: list[int] = []

        def run(rows: Rows) -> Outputs:
            runs.append(len(rows))
            clock.now += row_seconds * len(rows)
            return double(rows)

        async def most_rows_a_run() -> int:
            runs.clear()
            rows = some_rows(512)
            results = await asyncio.gather(*(batcher.submit(rows, bulk=True) for _ in range(3)))
            for result in results:
                check_answer(rows, result)
            return max(runs)

        batcher = new_batcher(run, max_batch_rows=512, max_queue_rows=8192, clock=clock)
        assert await most_rows_a_run() == 512
        await batcher.submit(some_rows(1))
        assert await most_rows_a_run() == pytest.approx(longest, abs=1)
        clock.now += 2
        assert await most_rows_a_run() == 512

    run_test(test())
