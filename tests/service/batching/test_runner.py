"""Models whose runs turn slow or quick, or whose time depends on the data."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.batching.batcher import Batcher
from service.batching.placement import Placement
from service.batching.request import Outputs, Rows
from service.errors import InferenceFailed
from tests.kit.clock import Clock
from tests.kit.parts.batching import Witness, check_answer, double, new_batcher, send_crowd, some_rows, turns
from tests.kit.waiting import run_test


class _Turning:
    """A run whose time the test sets; where a row is negative it takes 40 ms. Records the threads of its runs."""

    def __init__(self, clock: Clock) -> None:
        self.seconds = 0.0001
        self.here: list[bool] = []
        self._clock = clock
        self._thread = threading.current_thread()

    def __call__(self, rows: Rows) -> Outputs:
        self.here.append(threading.current_thread() is self._thread)
        self._clock.now += 0.04 if (rows < 0).any() else self.seconds
        return double(rows)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """A worker thread."""
    with ThreadPoolExecutor(1) as found:
        yield found


def _batcher(run: _Turning, clock: Clock, executor: ThreadPoolExecutor, witness: Witness, inline_rows: int) -> Batcher:
    return new_batcher(run, witness=witness, executor=executor, placement=Placement(inline_rows), clock=clock)


def test_a_model_moves_to_the_thread_and_back(executor: ThreadPoolExecutor) -> None:
    """It turns slow: one run later it is in the thread. It turns quick: after a while it is on the loop again."""

    async def test() -> None:
        clock, witness = Clock(), Witness()
        run = _Turning(clock)
        batcher = _batcher(run, clock, executor, witness, 8)
        for _ in range(10):
            check_answer(some_rows(2), await batcher.submit(some_rows(2)))
        run.seconds = 0.0501
        for _ in range(10):
            check_answer(some_rows(2), await batcher.submit(some_rows(2)))
        assert run.here == [True] * 11 + [False] * 9
        run.seconds = 0.0001
        run.here.clear()
        while not batcher.inline:
            await batcher.submit(some_rows(2))
        assert run.here == [False] * 400
        check_answer(some_rows(2), await batcher.submit(some_rows(2)))
        assert run.here[-1]
        assert witness.of("placed") == [False, True]

    run_test(test())


def test_data_that_take_long_hold_the_loop_for_one_run(executor: ThreadPoolExecutor) -> None:
    """One row in ten is slow: the first of them is the only one that runs on the event loop."""

    async def test() -> None:
        clock, witness = Clock(), Witness()
        run = _Turning(clock)
        batcher = _batcher(run, clock, executor, witness, 8)
        for number in range(200):
            rows = some_rows(1, -100.0 if number % 10 == 5 else 0.0)
            check_answer(rows, await batcher.submit(rows))
        assert run.here == [True] * 6 + [False] * 194

    run_test(test())


def test_a_batch_of_many_rows_proves_itself_in_the_thread(executor: ThreadPoolExecutor) -> None:
    """Single rows have moved to the event loop. A full batch runs in the thread until one was quick there."""

    async def test() -> None:
        clock, witness = Clock(), Witness()
        run = _Turning(clock)
        batcher = _batcher(run, clock, executor, witness, 0)
        while not batcher.inline:
            await batcher.submit(some_rows(1))
        run.here.clear()
        for rows in (8, 8, 8):
            check_answer(some_rows(rows), await batcher.submit(some_rows(rows)))
            await turns()
        assert run.here == [False, True, True]

    run_test(test())


def test_nothing_runs_beside_a_run_in_the_thread(executor: ThreadPoolExecutor) -> None:
    """While a large batch runs in the thread, a single row waits, though alone it would run on the event loop."""

    async def test() -> None:
        entered, go_on, runs = threading.Event(), threading.Event(), list[int]()

        def run(rows: Rows) -> Outputs:
            runs.append(len(rows))
            if len(rows) == 8:
                entered.set()
                assert go_on.wait(60)
            return double(rows)

        batcher = new_batcher(run, executor=executor, placement=Placement(1))
        large = asyncio.create_task(batcher.submit(some_rows(8)))
        assert await asyncio.to_thread(entered.wait, 60)
        small = asyncio.create_task(batcher.submit(some_rows(1)))
        await turns(20)
        assert runs == [8]
        go_on.set()
        check_answer(some_rows(8), await large)
        check_answer(some_rows(1), await small)
        assert runs == [8, 1]

    run_test(test())


def test_moves_lose_no_request(executor: ThreadPoolExecutor) -> None:
    """Requests that arrive together while the model moves to and fro get their own rows, and a drain ends."""

    async def test() -> None:
        clock, witness = Clock(), Witness()
        run = _Turning(clock)
        batcher = _batcher(run, clock, executor, witness, 8)
        random = np.random.default_rng(0)
        for number in range(300):
            run.seconds = 0.005 if number % 100 == 50 else 0.0001
            together = [some_rows(int(random.integers(1, 12)), 10.0 * place) for place in range(3)]
            for rows, result in zip(together, await asyncio.gather(*map(batcher.submit, together)), strict=True):
                check_answer(rows, result)
        await batcher.drain()
        assert len(witness.of("placed")) > 3
        assert {*run.here} == {True, False}

    run_test(test())


def test_quiet_turns_are_for_the_event_loop(executor: ThreadPoolExecutor) -> None:
    """A model that has moved to the thread is handed its rows in the next turn, without a window."""

    async def test() -> None:
        clock, witness = Clock(), Witness()
        run = _Turning(clock)
        batcher = new_batcher(
            run, witness=witness, executor=executor, placement=Placement(8), clock=clock, quiet_turns=1000
        )
        run.seconds = 0.0501
        await send_crowd(batcher)
        asked = asyncio.create_task(batcher.submit(some_rows(1)))
        await turns()
        assert len(witness.of("waited")) == 3
        await asked

    run_test(test())


@pytest.mark.parametrize(("seconds", "quick"), [(0.0069, True), (0.0071, False)])
def test_the_wait_for_the_interpreter_is_no_slow_run(seconds: float, quick: bool, executor: ThreadPoolExecutor) -> None:
    """2 ms of its own and 5 ms of waiting are quick: where the event loop is busy, each run in the thread waits so."""

    async def test() -> None:
        clock = Clock()
        run = _Turning(clock)
        run.seconds = seconds
        batcher = _batcher(run, clock, executor, Witness(), 0)
        for _ in range(32):
            await batcher.submit(some_rows(1))
        assert batcher.inline == quick

    run_test(test())


def test_a_thread_that_computes_is_no_waiting_one(executor: ThreadPoolExecutor) -> None:
    """Processor time of the thread counts in full, here 3 ms a run."""

    async def test() -> None:
        def run(rows: Rows) -> Outputs:
            until = time.thread_time() + 0.003
            while time.thread_time() < until:
                pass
            return double(rows)

        batcher = new_batcher(run, executor=executor, placement=Placement(0))
        for _ in range(40):
            await batcher.submit(some_rows(1))
        assert not batcher.inline

    run_test(test())


def test_runs_that_fail_fast_prove_nothing(executor: ThreadPoolExecutor) -> None:
    """A slow model whose rows are refused 100 times by its graph stays in the thread; slow failures count as slow."""

    async def test() -> None:
        clock, witness = Clock(), Witness()

        def run(rows: Rows) -> Outputs:
            clock.now += 0.04 if rows[0, 0] > 1000 else 0.0001
            if (rows < 0).any() or rows[0, 0] > 1000:
                raise FloatingPointError("negative")
            return double(rows)

        batcher = new_batcher(run, witness=witness, executor=executor, placement=Placement(0), clock=clock)
        for _ in range(100):
            with pytest.raises(InferenceFailed):
                await batcher.submit(some_rows(1, -100.0))
        assert not batcher.inline
        while not batcher.inline:
            await batcher.submit(some_rows(1))
        with pytest.raises(InferenceFailed):
            await batcher.submit(some_rows(1, 2000.0))
        assert not batcher.inline

    run_test(test())


def test_a_model_without_a_thread_runs_on_the_loop(
    executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process can start no thread when the model has turned slow: it answers, and tries again at the next run."""

    async def test() -> None:
        clock, witness = Clock(), Witness()
        run = _Turning(clock)
        batcher = _batcher(run, clock, executor, witness, 0)

        def start(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            for number in range(3):
                check_answer(some_rows(2, number), await batcher.submit(some_rows(2, number)))
        assert batcher.alive
        for number in range(3):
            check_answer(some_rows(2, number), await batcher.submit(some_rows(2, number)))
        assert run.here == [True] * 3 + [False] * 3

    run_test(test())
    assert caplog.text.count("is on the event loop: can't start new thread") == 3
