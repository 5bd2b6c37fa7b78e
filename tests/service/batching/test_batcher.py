"""Which requests run together, and what each gets: the batcher on a real event loop with a numpy callable."""

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.batching.request import Outputs, Result, Rows
from tests.kit.clock import Clock
from tests.kit.parts.batching import (
    HeldRun,
    Witness,
    begin_run,
    check_answer,
    double,
    double_in,
    new_batcher,
    outcomes_of,
    send_crowd,
    some_rows,
    turns,
)
from tests.kit.waiting import run_test


def test_requests_of_one_turn_run_together_and_get_their_own_rows() -> None:
    """Requests of one turn of the loop make one batch, and each gets the rows that it sent."""

    async def test() -> None:
        witness = Witness()
        batcher = new_batcher(witness=witness)
        await send_crowd(batcher)
        witness.events.clear()
        requests = [some_rows(count, 10.0 * count) for count in (1, 3, 2)]
        results = await asyncio.gather(*map(batcher.submit, requests))
        for rows, result in zip(requests, results, strict=True):
            check_answer(rows, result)
        assert witness.of("ran") == [6]
        assert witness.of("accepted") == [1, 3, 2]
        assert witness.of("queued") == [1, 4, 6, 5, 2, 0]

    run_test(test())


def test_a_request_alone_is_run_before_its_caller_waits() -> None:
    """Without other requests the answer needs no turn of the event loop, and is reported like any other."""

    async def test() -> None:
        witness = Witness()
        batcher = new_batcher(witness=witness)
        for rows in (some_rows(1), some_rows(8, 3.0)):
            with pytest.raises(StopIteration) as answered:
                batcher.submit(rows, 101.0).send(None)
            check_answer(rows, answered.value.value)
            assert answered.value.value.queue_seconds == 0
            assert witness.events == [("accepted", len(rows)), ("waited", 0.0), ("ran", len(rows))]
            witness.events.clear()
            await turns()

    run_test(test())


def test_one_request_alone_is_run_without_a_copy() -> None:
    """If one request is the whole batch, the callable gets the caller's own memory."""

    async def test() -> None:
        seen: list[Rows] = []

        def run(rows: Rows) -> Outputs:
            seen.append(rows)
            return double(rows)

        rows = some_rows(4)
        check_answer(rows, await new_batcher(run).submit(rows))
        assert np.shares_memory(seen[0], rows)

    run_test(test())


def test_a_large_request_runs_in_blocks_and_shares_the_last_one() -> None:
    """No run is over max_batch_rows; the rest of a large request and the next request fill one batch."""

    async def test() -> None:
        witness = Witness()
        batcher = new_batcher(witness=witness, max_batch_rows=8)
        large, small = some_rows(19), some_rows(4, 500.0)
        results = await asyncio.gather(batcher.submit(large), batcher.submit(small))
        check_answer(large, results[0])
        check_answer(small, results[1])
        assert witness.of("ran") == [8, 8, 7]
        assert len(witness.of("waited")) == 2

    run_test(test())


def test_times_are_those_of_the_clock() -> None:
    """Queue seconds end at the first run; compute seconds add the runs that a request was part of."""

    async def test() -> None:
        clock = Clock(100.0)
        run = double_in(clock, 0.25)
        batcher = new_batcher(run, clock=clock, max_batch_rows=2)
        first, second = await asyncio.gather(batcher.submit(some_rows(4)), batcher.submit(some_rows(1)))
        assert (first.queue_seconds, first.compute_seconds) == (0.0, 0.5)
        assert (second.queue_seconds, second.compute_seconds) == (0.5, 0.25)
        alone = await new_batcher(run, clock=clock).submit(some_rows(1))
        assert (alone.queue_seconds, alone.compute_seconds) == (0.0, 0.25)

    run_test(test())


def test_between_inline_runs_the_loop_breathes() -> None:
    """Work of a large request does not keep other callbacks from running in between."""

    async def test() -> None:
        order: list[str] = []

        def run(rows: Rows) -> Outputs:
            order.append("run")
            return double(rows)

        async def other() -> None:
            while order.count("run") < 4:
                order.append("other")
                await asyncio.sleep(0)

        await asyncio.gather(new_batcher(run, max_batch_rows=1).submit(some_rows(4)), other())
        runs = [index for index, name in enumerate(order) if name == "run"]
        assert all("other" in order[before:after] for before, after in itertools.pairwise(runs))

    run_test(test())


def test_what_waits_while_the_thread_is_busy_is_the_next_batch() -> None:
    """In a worker thread too there are never two runs at once, and all waiting requests run in one batch."""

    async def test() -> None:
        held = HeldRun()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(held, executor=executor)
            (first,) = await begin_run(held, batcher, 1)
            others = [asyncio.create_task(batcher.submit(some_rows(2, index))) for index in range(3)]
            await turns()
            assert held.runs == [1]
            held.open.set()
            check_answer(some_rows(1), await first)
            for index, task in enumerate(others):
                check_answer(some_rows(2, index), await task)
            assert held.runs == [1, 6]

    run_test(test())


def test_a_free_thread_waits_for_no_quiet_turns() -> None:
    """A request whose model runs in a thread is handed over in the next turn: the loop stays free to receive others."""

    async def test() -> None:
        witness = Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = new_batcher(witness=witness, executor=executor, quiet_turns=1000)
            asked = asyncio.create_task(batcher.submit(some_rows(1)))
            await turns()
            assert witness.of("waited") == [0.0]
            await asked

    run_test(test())


def test_a_run_that_hangs_is_seen() -> None:
    """A request is reported as accepted before its run begins, also if it runs at once."""

    async def test() -> None:
        witness, before = Witness(), list[tuple[str, object]]()

        def run(rows: Rows) -> Outputs:
            before.extend(witness.events)
            return double(rows)

        await new_batcher(run, witness=witness).submit(some_rows(2))
        assert before == [("accepted", 2), ("waited", 0.0)]

    run_test(test())


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=25),
    max_batch_rows=st.integers(1, 16),
    leavers=st.sets(st.integers(0, 24)),
    bulk=st.sets(st.integers(0, 24)),
    in_thread=st.booleans(),
)
def test_any_mix_of_sizes_gets_its_own_rows(
    sizes: list[int], max_batch_rows: int, leavers: set[int], bulk: set[int], in_thread: bool
) -> None:
    """Every request gets its own rows, for any sizes, bounds, priorities and cancellations, inline and in a thread."""

    async def test() -> None:
        witness = Witness()
        executor = ThreadPoolExecutor(1) if in_thread else None
        batcher = new_batcher(witness=witness, max_batch_rows=max_batch_rows, executor=executor)
        requests = [some_rows(size, 1000.0 * index) for index, size in enumerate(sizes)]
        tasks = [asyncio.create_task(batcher.submit(rows, bulk=index in bulk)) for index, rows in enumerate(requests)]
        await asyncio.sleep(0)
        for index in leavers:
            if index < len(tasks):
                tasks[index].cancel()
        outcomes = await outcomes_of(tasks)
        for index, (rows, outcome) in enumerate(zip(requests, outcomes, strict=True)):
            if isinstance(outcome, Result):
                check_answer(rows, outcome)
            else:
                assert index in leavers
                assert isinstance(outcome, asyncio.CancelledError)
        await batcher.drain()
        ran = witness.of("ran")
        assert all(isinstance(rows, int) and rows <= max_batch_rows for rows in ran)
        assert witness.of("queued")[-1:] in ([], [0])
        if executor is not None:
            executor.shutdown()

    run_test(test())
