"""The batcher on a real event loop with a numpy callable; events and turns of the loop instead of sleeps."""

import asyncio
import gc
import itertools
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.batching.batcher import Batcher
from service.batching.request import Outputs, Result, Rows
from service.errors import DeadlineExceeded, Draining, InferenceFailed, InvalidRequest, ModelNotReady, Overloaded
from tests.kit.clock import Clock
from tests.kit.waiting import run_test


@dataclass
class Witness:
    """Records what a batcher reports."""

    events: list[tuple[str, object]] = field(default_factory=list)
    broken: bool = False

    def accepted(self, rows: int) -> None:
        self.events.append(("accepted", rows))

    def queued(self, rows: int) -> None:
        self.events.append(("queued", rows))

    def waited(self, seconds: float) -> None:
        self.events.append(("waited", seconds))

    def ran(self, rows: int, seconds: float) -> None:
        if self.broken:
            raise RuntimeError("the observer broke")
        assert seconds >= 0
        self.events.append(("ran", rows))

    def rejected(self, reason: str) -> None:
        self.events.append(("rejected", reason))

    def died(self) -> None:
        self.events.append(("died", None))

    def of(self, kind: str) -> list[object]:
        return [value for name, value in self.events if name == kind]


@dataclass
class Gate:
    """A callable that, in a thread, waits at a gate: the session is busy until the test opens it."""

    open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    runs: list[int] = field(default_factory=list)

    def __call__(self, rows: Rows) -> Outputs:
        self.runs.append(len(rows))
        self.entered.set()
        assert self.open.wait(60)
        return _double(rows)


def _double(rows: Rows) -> Outputs:
    """Two outputs, so that their order is seen."""
    return [rows * 2, rows.sum(axis=1, keepdims=True)]


def _rows(count: int, first: float = 0.0, features: int = 3) -> Rows:
    return np.arange(count * features, dtype=np.float32).reshape(count, features) + np.float32(first)


def _batcher(
    run: Callable[[Rows], Outputs] = _double,
    *,
    witness: Witness | None = None,
    max_batch_rows: int = 8,
    max_queue_rows: int = 1000,
    max_queue_delay_seconds: float = 0.0,
    executor: Executor | None = None,
    quiet_turns: int = 0,
    clock: Callable[[], float] | None = None,
) -> Batcher:
    return Batcher(
        run,
        max_batch_rows=max_batch_rows,
        max_queue_rows=max_queue_rows,
        max_queue_delay_seconds=max_queue_delay_seconds,
        executor=executor,
        quiet_turns=quiet_turns,
        observer=witness or Witness(),
        clock=clock or Clock(100.0),
    )


def _check(rows: Rows, result: Result) -> None:
    doubled, sums = _double(rows)
    np.testing.assert_array_equal(result.outputs[0], doubled)
    np.testing.assert_array_equal(result.outputs[1], sums)


async def _turns(count: int = 3) -> None:
    """Let everything on the loop that is ready have its turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def _busy(gate: Gate, batcher: Batcher) -> "asyncio.Task[Result]":
    """Start a request and return once its run has begun."""
    first = asyncio.create_task(batcher.submit(_rows(1)))
    await _turns()
    assert await asyncio.to_thread(gate.entered.wait, 20)
    return first


async def _crowd(batcher: Batcher) -> None:
    """Let two requests arrive in one turn. From then on the batcher expects concurrent requests."""
    await asyncio.gather(batcher.submit(_rows(1)), batcher.submit(_rows(1)))


async def _outcomes(tasks: Iterable[Awaitable[Result]]) -> Sequence[Result | BaseException]:
    outcomes: Sequence[Result | BaseException] = await asyncio.gather(*tasks, return_exceptions=True)
    return outcomes


def test_callers_who_wait_together_run_together_and_get_their_own_rows() -> None:
    """Requests of one turn of the loop make one batch, and each gets the rows that it sent."""

    async def test() -> None:
        witness = Witness()
        batcher = _batcher(witness=witness)
        await _crowd(batcher)
        witness.events.clear()
        requests = [_rows(count, 10.0 * count) for count in (1, 3, 2)]
        results = await asyncio.gather(*map(batcher.submit, requests))
        for rows, result in zip(requests, results, strict=True):
            _check(rows, result)
        assert witness.of("ran") == [6]
        assert witness.of("accepted") == [1, 3, 2]
        assert witness.of("queued") == [1, 4, 6, 5, 2, 0]

    run_test(test())


def test_a_request_alone_is_run_before_its_caller_waits() -> None:
    """Without other requests the answer needs no turn of the event loop, and is reported like any other."""

    async def test() -> None:
        witness = Witness()
        batcher = _batcher(witness=witness)
        for rows in (_rows(1), _rows(8, 3.0)):
            with pytest.raises(StopIteration) as answered:
                batcher.submit(rows, 101.0).send(None)
            _check(rows, answered.value.value)
            assert answered.value.value.queue_seconds == 0
            assert witness.events == [("accepted", len(rows)), ("waited", 0.0), ("ran", len(rows))]
            witness.events.clear()
            await _turns()

    run_test(test())


def test_of_a_first_crowd_one_is_run_at_once_and_the_others_together() -> None:
    """The other requests of that turn run in one batch. Later batches are expected until one request arrives alone."""

    async def test() -> None:
        witness = Witness()
        batcher = _batcher(witness=witness)
        for turn in ([1, 2, 3], [1, 2], [2], [3], [1, 1]):
            await asyncio.gather(*(batcher.submit(_rows(rows)) for rows in turn))
            await _turns()
        assert witness.of("ran") == [1, 5, 3, 2, 3, 1, 1]
        # Who came in a crowd waited in the queue, and so did the first who came alone after it.
        assert witness.of("queued") == [2, 5, 3, 0, 1, 3, 2, 0, 2, 0, 1, 0]

    run_test(test())


async def _one_a_turn(batcher: Batcher, count: int) -> list["asyncio.Task[Result]"]:
    """Requests of one row that arrive in one turn of the event loop after another."""
    asked = []
    for place in range(count):
        asked.append(asyncio.create_task(batcher.submit(_rows(1, place))))
        await _turns(1)
    return asked


def test_who_come_turn_after_turn_are_gathered_until_it_is_quiet() -> None:
    """The first request runs at once, those in the next quiet turns run in one batch.

    A later request runs alone at once.
    """
    witness = Witness()

    async def test() -> None:
        batcher = _batcher(witness=witness, quiet_turns=3)
        asked = await _one_a_turn(batcher, 6)
        assert witness.of("ran") == [1], "the others do not wait until it is quiet"
        for place, result in enumerate(await asyncio.gather(*asked)):
            _check(_rows(1, place), result)
        assert witness.of("ran") == [1, 5]
        await batcher.submit(_rows(1))  # gathers in vain, so the next is taken to be alone
        await _turns(20)
        alone = asyncio.create_task(batcher.submit(_rows(1)))
        await _turns(1)
        assert alone.done()
        await alone

    run_test(test())


def test_after_many_alone_only_who_comes_close_behind_is_gathered() -> None:
    """After four runs alone no batch window opens, until a request arrives within 100 µs of another's answer."""
    witness, clock = Witness(), Clock(100.0)

    async def alone(batcher: Batcher) -> None:
        clock.now += 1e-3
        await batcher.submit(_rows(1))
        await _turns(5)

    async def test() -> None:
        batcher = _batcher(witness=witness, clock=clock, quiet_turns=3)
        for _ in range(4):
            await alone(batcher)
        clock.now += 1e-3
        await asyncio.gather(*await _one_a_turn(batcher, 4))
        # The first two are run at once: the second is close behind the first, so that the others are gathered.
        assert witness.of("ran")[4:] == [1, 1, 2]

    run_test(test())


def test_after_many_alone_who_comes_within_the_time_of_the_last_run_is_gathered() -> None:
    """A run of 2 ms: a request 1 ms after its answer is close to it, so those that follow run in one batch."""
    witness, clock = Witness(), Clock(100.0)

    def run(rows: Rows) -> Outputs:
        clock.now += 2e-3
        return _double(rows)

    async def test() -> None:
        batcher = _batcher(run, witness=witness, clock=clock, quiet_turns=3)
        for pause in [1.0] * 6 + [1e-3]:
            clock.now += pause
            await batcher.submit(_rows(1))
            if pause == 1.0:
                await _turns(5)
        await asyncio.gather(*await _one_a_turn(batcher, 3))
        assert witness.of("ran")[6:] == [1, 3]

    run_test(test())


def test_every_sixteenth_alone_looks_out_for_company() -> None:
    """So concurrent requests soon run in one batch, even if none arrives within 100 µs of another's answer.

    After that batch the first ones alone open windows again.
    """
    witness, clock = Witness(), Clock(100.0)

    async def test() -> None:
        batcher = _batcher(witness=witness, clock=clock, quiet_turns=3)
        for _ in range(16):
            clock.now += 1e-3
            await batcher.submit(_rows(1))
            await _turns(5)
        clock.now += 1e-3
        await asyncio.gather(*await _one_a_turn(batcher, 4))
        assert witness.of("ran")[16:] == [1, 3]
        clock.now += 1e-3
        await batcher.submit(_rows(1))  # is gathered, alone: the next one runs at once
        clock.now += 1e-3
        await asyncio.gather(*await _one_a_turn(batcher, 4))
        assert witness.of("ran")[18:] == [1, 1, 3]

    run_test(test())


def test_a_gathering_ends_where_the_batch_is_full() -> None:
    """With as many rows as a run takes it does not wait for quiet."""
    witness = Witness()

    async def test() -> None:
        batcher = _batcher(witness=witness, quiet_turns=1000, max_batch_rows=4)
        asked = await _one_a_turn(batcher, 5)
        await _turns()
        assert witness.of("ran") == [1, 4]
        await asyncio.gather(*asked)

    run_test(test())


def test_a_gathering_ends_after_a_millisecond() -> None:
    """No request waits longer, even if the event loop is never quiet."""
    witness, clock = Witness(), Clock(100.0)

    async def test() -> None:
        batcher = _batcher(witness=witness, clock=clock, quiet_turns=1000, max_batch_rows=1000)
        asked = await _one_a_turn(batcher, 3)
        assert witness.of("ran") == [1]
        clock.now += 1.1e-3
        asked += await _one_a_turn(batcher, 2)
        assert witness.of("ran")[:2] in ([1, 2], [1, 3])
        clock.now += 1.1e-3
        await asyncio.gather(*asked)

    run_test(test())


def test_a_long_run_at_once_gathers_who_came_meanwhile() -> None:
    """After a run longer than a gathering the next ones are still run together."""
    witness, clock = Witness(), Clock(100.0)

    def run(rows: Rows) -> Outputs:
        clock.now += 2e-3
        return _double(rows)

    async def test() -> None:
        batcher = _batcher(run, witness=witness, clock=clock, quiet_turns=3)
        await asyncio.gather(*await _one_a_turn(batcher, 6))
        assert witness.of("ran") == [1, 5]

    run_test(test())


def test_what_may_not_run_at_once_is_refused_as_ever() -> None:
    """An idle batcher too refuses requests past its bound, past a deadline, without rows, or after its end."""

    async def test() -> None:
        clock, witness = Clock(100.0), Witness()
        batcher = _batcher(max_queue_rows=4, clock=clock, witness=witness)
        with pytest.raises(Overloaded, match="bound of 4"):
            await batcher.submit(_rows(5))
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(_rows(1), clock.now)
        with pytest.raises(InvalidRequest):
            await batcher.submit(_rows(0))
        await batcher.drain()
        with pytest.raises(Draining):
            await batcher.submit(_rows(1))
        assert witness.events == [("rejected", "overload"), ("rejected", "deadline"), ("rejected", "draining")]

    run_test(test())


def test_a_run_at_once_that_fails_tells_its_caller_only(caplog: pytest.LogCaptureFixture) -> None:
    """The cause is chained, the log has one line, and the next request is answered."""

    async def test() -> None:
        def run(rows: Rows) -> Outputs:
            if (rows < 0).any():
                raise FloatingPointError("negative")
            return _double(rows)

        witness = Witness()
        batcher = _batcher(run, witness=witness)
        with pytest.raises(InferenceFailed, match="negative") as caught:
            await batcher.submit(_rows(1, -100.0))
        assert isinstance(caught.value.__cause__, FloatingPointError)
        await _turns()
        _check(_rows(2), await batcher.submit(_rows(2)))
        assert batcher.alive
        assert witness.of("ran") == [2]

    with caplog.at_level(logging.ERROR):
        run_test(test())
    assert [record.message for record in caplog.records] == ["a run failed"]
    assert "FloatingPointError" in caplog.text, "the traceback is there too"


def test_a_batcher_that_breaks_in_a_run_at_once_is_dead(caplog: pytest.LogCaptureFixture) -> None:
    """The request fails, later ones are refused, and drain() returns."""

    async def test() -> None:
        witness = Witness(broken=True)
        batcher = _batcher(witness=witness)
        with pytest.raises(InferenceFailed, match="the observer broke"):
            await batcher.submit(_rows(1))
        assert not batcher.alive
        assert witness.of("died") == [None]
        with pytest.raises(ModelNotReady):
            await batcher.submit(_rows(1))
        await batcher.drain()

    with caplog.at_level(logging.CRITICAL):
        run_test(test())
    assert "a batcher broke" in caplog.text


def test_a_run_that_hangs_is_seen() -> None:
    """A request is reported as accepted before its run begins, also if it runs at once."""

    async def test() -> None:
        witness, before = Witness(), list[tuple[str, object]]()

        def run(rows: Rows) -> Outputs:
            before.extend(witness.events)
            return _double(rows)

        await _batcher(run, witness=witness).submit(_rows(2))
        assert before == [("accepted", 2), ("waited", 0.0)]

    run_test(test())


@pytest.mark.parametrize("crowd", [False, True])
def test_an_interrupt_in_a_run_is_no_answer(crowd: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It ends the event loop, as anywhere else, and the batcher takes nothing new."""
    batchers: list[Batcher] = []

    def run(rows: Rows) -> Outputs:
        if len(rows) == 2:
            raise KeyboardInterrupt
        return _double(rows)

    async def test() -> None:
        batchers.append(_batcher(run))
        if crowd:
            await _crowd(batchers[0])
        await batchers[0].submit(_rows(2))

    with caplog.at_level(logging.CRITICAL), pytest.raises(KeyboardInterrupt):
        run_test(test())
    assert not batchers[0].alive


def test_one_request_alone_is_run_without_a_copy() -> None:
    """If one request is the whole batch, the callable gets the caller's own memory."""

    async def test() -> None:
        seen: list[Rows] = []

        def run(rows: Rows) -> Outputs:
            seen.append(rows)
            return _double(rows)

        rows = _rows(4)
        _check(rows, await _batcher(run).submit(rows))
        assert np.shares_memory(seen[0], rows)

    run_test(test())


def test_a_large_request_runs_in_blocks_and_shares_the_last_one() -> None:
    """No run is over max_batch_rows; the rest of a large request and the next request fill one batch."""

    async def test() -> None:
        witness = Witness()
        batcher = _batcher(witness=witness, max_batch_rows=8)
        large, small = _rows(19), _rows(4, 500.0)
        results = await asyncio.gather(batcher.submit(large), batcher.submit(small))
        _check(large, results[0])
        _check(small, results[1])
        assert witness.of("ran") == [8, 8, 7]
        assert len(witness.of("waited")) == 2

    run_test(test())


def test_times_are_those_of_the_clock() -> None:
    """Queue seconds end at the first run; compute seconds add the runs that a request was part of."""

    async def test() -> None:
        clock = Clock(100.0)

        def run(rows: Rows) -> Outputs:
            clock.now += 0.25
            return _double(rows)

        batcher = _batcher(run, clock=clock, max_batch_rows=2)
        first, second = await asyncio.gather(batcher.submit(_rows(4)), batcher.submit(_rows(1)))
        assert (first.queue_seconds, first.compute_seconds) == (0.0, 0.5)
        assert (second.queue_seconds, second.compute_seconds) == (0.5, 0.25)
        alone = await _batcher(run, clock=clock).submit(_rows(1))
        assert (alone.queue_seconds, alone.compute_seconds) == (0.0, 0.25)

    run_test(test())


def test_between_inline_runs_the_loop_breathes() -> None:
    """Work of a large request does not keep other callbacks from running in between."""

    async def test() -> None:
        order: list[str] = []

        def run(rows: Rows) -> Outputs:
            order.append("run")
            return _double(rows)

        async def other() -> None:
            while order.count("run") < 4:
                order.append("other")
                await asyncio.sleep(0)

        await asyncio.gather(_batcher(run, max_batch_rows=1).submit(_rows(4)), other())
        runs = [index for index, name in enumerate(order) if name == "run"]
        assert all("other" in order[before:after] for before, after in itertools.pairwise(runs))

    run_test(test())


def test_what_waits_while_the_thread_is_busy_is_the_next_batch() -> None:
    """In a worker thread too there are never two runs at once, and all waiting requests run in one batch."""

    async def test() -> None:
        gate = Gate()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor)
            first = await _busy(gate, batcher)
            others = [asyncio.create_task(batcher.submit(_rows(2, index))) for index in range(3)]
            await _turns()
            assert gate.runs == [1]
            gate.open.set()
            _check(_rows(1), await first)
            for index, task in enumerate(others):
                _check(_rows(2, index), await task)
            assert gate.runs == [1, 6]

    run_test(test())


def test_a_free_thread_waits_for_no_quiet_turns() -> None:
    """A request whose model runs in a thread is handed over in the next turn: the loop stays free to receive others."""

    async def test() -> None:
        witness = Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(witness=witness, executor=executor, quiet_turns=1000)
            asked = asyncio.create_task(batcher.submit(_rows(1)))
            await _turns()
            assert witness.of("waited") == [0.0]
            await asked

    run_test(test())


def test_who_is_refused_is_told_when_there_is_room() -> None:
    """The rows that wait, times what a row took of late: 4 rows of 0.5 s."""

    async def test() -> None:
        clock = Clock(100.0)

        def run(rows: Rows) -> Outputs:
            clock.now += 0.5 * len(rows)
            return _double(rows)

        batcher = _batcher(run, clock=clock, max_queue_rows=5, quiet_turns=3)
        await _crowd(batcher)
        waiting = asyncio.create_task(batcher.submit(_rows(4)))
        await _turns(1)
        with pytest.raises(Overloaded) as caught:
            await batcher.submit(_rows(2))
        assert caught.value.retry_after_seconds == pytest.approx(2)
        await waiting

    run_test(test())


def test_rows_past_the_bound_are_refused_at_once() -> None:
    """A full queue refuses before anything waits, says by how much, and takes rows again once there is room."""

    async def test() -> None:
        gate, witness = Gate(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, max_queue_rows=5, witness=witness)
            first = await _busy(gate, batcher)
            waiting = asyncio.create_task(batcher.submit(_rows(4)))
            await _turns()
            with pytest.raises(Overloaded, match="bound of 5"):
                await batcher.submit(_rows(2))
            fits = asyncio.create_task(batcher.submit(_rows(1)))
            await _turns()
            gate.open.set()
            await asyncio.gather(first, waiting, fits)
            _check(_rows(5), await batcher.submit(_rows(5)))
            assert witness.of("rejected") == ["overload"]

    run_test(test())


def test_a_cancelled_caller_frees_its_rows_at_once_and_harms_nobody() -> None:
    """The rows of a cancelled request are never run and make room at once. Other requests get their own answers."""

    async def test() -> None:
        gate, witness = Gate(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, max_queue_rows=6, witness=witness)
            first = await _busy(gate, batcher)
            before, leaver, after = (asyncio.create_task(batcher.submit(_rows(2, index))) for index in range(3))
            await _turns()
            leaver.cancel()
            await _turns()
            newcomer = asyncio.create_task(batcher.submit(_rows(2, 9.0)))
            await _turns()
            gate.open.set()
            outcomes = await _outcomes([first, before, leaver, after, newcomer])
            assert isinstance(outcomes[2], asyncio.CancelledError)
            _check(_rows(2, 0), await before)
            _check(_rows(2, 2), await after)
            _check(_rows(2, 9.0), await newcomer)
            assert gate.runs == [1, 6]
            assert witness.of("rejected") == ["cancelled"]

    run_test(test())


def test_a_caller_cancelled_in_its_run_harms_nobody() -> None:
    """Leaving while the rows are being computed leaves the batch mates their answers, and counts as no rejection."""

    async def test() -> None:
        gate, witness = Gate(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, witness=witness)
            leaver, mate = (asyncio.create_task(batcher.submit(_rows(2, index))) for index in range(2))
            await _turns()
            assert await asyncio.to_thread(gate.entered.wait, 20)
            leaver.cancel()
            await _turns()
            gate.open.set()
            _check(_rows(2, 1), await mate)
            assert gate.runs == [4]
            assert witness.of("rejected") == []

    run_test(test())


def test_a_caller_who_left_a_run_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The other callers of that run get its error, and the batcher goes on."""

    async def test() -> None:
        gate = Gate()

        def run(rows: Rows) -> Outputs:
            gate(rows)
            raise FloatingPointError

        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(run, executor=executor)
            leaver, mate = (asyncio.create_task(batcher.submit(_rows(2, index))) for index in range(2))
            await _turns()
            assert await asyncio.to_thread(gate.entered.wait, 20)
            leaver.cancel()
            await _turns()
            gate.open.set()
            with pytest.raises(InferenceFailed):
                await mate
            assert batcher.alive

    with caplog.at_level(logging.ERROR):
        run_test(test())
    assert [record.message for record in caplog.records] == ["a run failed"]


def test_the_rest_of_a_large_request_is_not_run_once_its_caller_left() -> None:
    """Cancelling between blocks stops the work."""

    async def test() -> None:
        gate = Gate()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, max_batch_rows=4)
            large = asyncio.create_task(batcher.submit(_rows(40)))
            await _turns()
            assert await asyncio.to_thread(gate.entered.wait, 20)
            large.cancel()
            await _turns()
            gate.open.set()
            await batcher.drain()
            assert gate.runs == [4]

    run_test(test())


def test_cancelled_and_dispatched_in_the_same_turn_is_not_run() -> None:
    """A cancellation that the caller's task has not seen yet is seen by the dispatch."""

    async def test() -> None:
        witness = Witness()
        batcher = _batcher(witness=witness)
        await _crowd(batcher)
        witness.events.clear()
        task = asyncio.create_task(batcher.submit(_rows(1)))
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
                return _double(rows)
            # The future fails right after this; its task resumes a turn later, cancelled.
            asyncio.get_running_loop().call_soon(leavers[0].cancel)
            raise RuntimeError("no")

        batcher = _batcher(run)
        await _crowd(batcher)
        leavers.append(asyncio.create_task(batcher.submit(_rows(1))))
        outcomes = await _outcomes(leavers)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        del outcomes
        leavers.clear()
        gc.collect()
        assert complaints == []

    run_test(test())


def test_late_rows_are_not_run() -> None:
    """A deadline that passes in the queue fails its own request, unrun; one already past is refused at the door."""

    async def test() -> None:
        clock, gate, witness = Clock(100.0), Gate(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, clock=clock, witness=witness)
            first = await _busy(gate, batcher)
            late = asyncio.create_task(batcher.submit(_rows(2), clock.now + 1))
            in_time = asyncio.create_task(batcher.submit(_rows(3), clock.now + 3))
            await _turns()
            clock.now += 2
            gate.open.set()
            outcomes = await _outcomes([first, late, in_time])
            assert isinstance(outcomes[1], DeadlineExceeded)
            assert "2 rows unrun after 2.0" in str(outcomes[1])
            _check(_rows(3), await in_time)
            assert gate.runs == [1, 3]
            with pytest.raises(DeadlineExceeded):
                await batcher.submit(_rows(1), clock.now)
            assert witness.of("rejected") == ["deadline", "deadline"]
            assert witness.of("queued")[-1] == 0

    run_test(test())


def test_a_failing_run_fails_its_own_requests_only(caplog: pytest.LogCaptureFixture) -> None:
    """Every request of the failed run gets the cause. The next run works, and the log has one line."""

    async def test() -> None:
        def run(rows: Rows) -> Outputs:
            if (rows < 0).any():
                raise FloatingPointError("negative")
            return _double(rows)

        batcher = _batcher(run, max_batch_rows=4)
        await _crowd(batcher)
        outcomes = await _outcomes(map(batcher.submit, [_rows(2), _rows(2, -100.0), _rows(4, 7.0)]))
        for failed in outcomes[:2]:
            assert isinstance(failed, InferenceFailed)
            assert isinstance(failed.__cause__, FloatingPointError)
        assert isinstance(outcomes[2], Result)
        _check(_rows(4, 7.0), outcomes[2])
        assert batcher.alive

    with caplog.at_level(logging.ERROR):
        run_test(test())
    assert [record.message for record in caplog.records] == ["a run failed"]
    assert "FloatingPointError" in caplog.text, "the traceback is there too"


def test_a_large_request_whose_block_fails_is_over() -> None:
    """Blocks after a failed one are not run."""

    async def test() -> None:
        runs: list[int] = []

        def run(rows: Rows) -> Outputs:
            runs.append(len(rows))
            raise ValueError("no")

        witness = Witness()
        with pytest.raises(InferenceFailed, match="no"):
            await _batcher(run, max_batch_rows=2, witness=witness).submit(_rows(10))
        await _turns()
        assert runs == [2]
        assert witness.of("queued")[-1] == 0
        assert witness.of("rejected") == []

    run_test(test())


@pytest.mark.parametrize(
    "outputs",
    [[np.zeros((5, 1))], [np.zeros((1, 1))], [np.zeros((2, 1)), np.zeros((3, 1))], [np.float32(1.0)], [None]],
)
def test_outputs_of_another_length_are_an_error_never_shifted_rows(outputs: Outputs) -> None:
    """A model that gives too many, too few or no rows fails the run: no request gets the answer of another."""

    async def test() -> None:
        with pytest.raises(InferenceFailed):
            await _batcher(lambda _: outputs).submit(_rows(2))

    run_test(test())


def test_rows_of_another_width_fail_alone() -> None:
    """One request with a wrong width blocks no other: requests before and after it get their answers."""

    async def test() -> None:
        def run(rows: Rows) -> Outputs:
            if rows.shape[1] != 3:
                raise ValueError("width")
            return _double(rows)

        batcher = _batcher(run)
        await _crowd(batcher)
        good, bad = _rows(2), _rows(2, features=5)
        outcomes = await _outcomes(map(batcher.submit, [good, bad, good]))
        assert [isinstance(outcome, Result) for outcome in outcomes] == [True, False, True]

    run_test(test())


def test_interactive_requests_go_before_bulk_ones() -> None:
    """A bulk request runs after interactive ones that arrived later, until the fourth batch."""

    async def test() -> None:
        order: list[float] = []

        def run(rows: Rows) -> Outputs:
            order.extend(rows[:, 0].tolist())
            return _double(rows)

        batcher = _batcher(run, max_batch_rows=2)
        await _crowd(batcher)
        order.clear()
        requests = [(10.0, True), (20.0, True), (30.0, False), (40.0, False), (50.0, True)]
        await asyncio.gather(*(batcher.submit(_rows(1, first), bulk=bulk) for first, bulk in requests))
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
            return _double(rows)

        async def most_rows_a_run() -> int:
            runs.clear()
            rows = _rows(512)
            results = await asyncio.gather(*(batcher.submit(rows, bulk=True) for _ in range(3)))
            for result in results:
                _check(rows, result)
            return max(runs)

        batcher = _batcher(run, max_batch_rows=512, max_queue_rows=8192, clock=clock)
        assert await most_rows_a_run() == 512
        await batcher.submit(_rows(1))
        assert await most_rows_a_run() == pytest.approx(longest, abs=1)
        clock.now += 2
        assert await most_rows_a_run() == 512

    run_test(test())


def test_no_rows_are_refused() -> None:
    """A request without rows could never be complete, so it is an error."""

    async def test() -> None:
        with pytest.raises(InvalidRequest, match="no rows"):
            await _batcher().submit(_rows(0))

    run_test(test())


def test_drain_answers_what_was_accepted_and_refuses_the_rest() -> None:
    """drain() returns after the last accepted row is answered; twice at once is fine."""

    async def test() -> None:
        gate, witness = Gate(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, witness=witness)
            accepted = [await _busy(gate, batcher), asyncio.create_task(batcher.submit(_rows(20, 3.0)))]
            await _turns()
            drains = [asyncio.create_task(batcher.drain()) for _ in range(2)]
            await _turns()
            with pytest.raises(Draining):
                await batcher.submit(_rows(1))
            assert not any(drain.done() for drain in drains)
            gate.open.set()
            await asyncio.gather(*drains)
            _check(_rows(1), await accepted[0])
            _check(_rows(20, 3.0), await accepted[1])
            assert witness.of("rejected") == ["draining"]
            await batcher.drain()

    run_test(test())


def test_drain_ends_when_the_last_caller_leaves() -> None:
    """A queue that empties by cancellation is drained too."""

    async def test() -> None:
        batcher = _batcher(max_queue_delay_seconds=1000)
        leaver = asyncio.create_task(batcher.submit(_rows(1)))
        await asyncio.sleep(0)
        drain = asyncio.create_task(batcher.drain())
        leaver.cancel()
        await drain
        await _outcomes([leaver])

    run_test(test())


def test_drain_ends_when_the_batcher_breaks(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing more is answered, so drain() returns."""

    async def test() -> None:
        gate, witness = Gate(), Witness(broken=True)
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, witness=witness)
            asked = [await _busy(gate, batcher), asyncio.create_task(batcher.submit(_rows(2)))]
            await _turns()
            drain = asyncio.create_task(batcher.drain())
            await _turns()
            gate.open.set()
            await drain
            assert all(isinstance(outcome, InferenceFailed) for outcome in await _outcomes(asked))

    with caplog.at_level(logging.CRITICAL):
        run_test(test())
    assert "a batcher broke" in caplog.text


def test_drain_ends_when_all_that_waits_is_late() -> None:
    """No run follows, and drain() returns."""

    async def test() -> None:
        clock, gate = Clock(100.0), Gate()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, clock=clock)
            first = await _busy(gate, batcher)
            late = asyncio.create_task(batcher.submit(_rows(2), clock.now + 1))
            await _turns()
            drain = asyncio.create_task(batcher.drain())
            clock.now += 2
            gate.open.set()
            await drain
            await first
            with pytest.raises(DeadlineExceeded):
                await late
            assert gate.runs == [1]

    run_test(test())


def test_close_fails_what_waits_and_waits_for_the_run() -> None:
    """After the grace period waiting requests fail, and the request in the current run gets its answer."""

    async def test() -> None:
        gate, witness = Gate(), Witness()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, witness=witness)
            running = await _busy(gate, batcher)
            waiting = asyncio.create_task(batcher.submit(_rows(2)))
            await _turns()
            closing = asyncio.create_task(batcher.close())
            with pytest.raises(Draining):
                await waiting
            assert not closing.done()
            gate.open.set()
            await closing
            _check(_rows(1), await running)
            assert witness.of("rejected") == ["draining"]

    run_test(test())


def test_a_delay_holds_back_until_the_batch_is_full() -> None:
    """With a delay, a lone request waits for more rows, and a full batch ends the wait."""

    async def test() -> None:
        witness = Witness()
        batcher = _batcher(witness=witness, max_queue_delay_seconds=1000, max_batch_rows=4)
        first = asyncio.create_task(batcher.submit(_rows(1)))
        await _turns()
        assert witness.of("ran") == []
        second = asyncio.create_task(batcher.submit(_rows(3, 5.0)))
        _check(_rows(1), await first)
        _check(_rows(3, 5.0), await second)
        assert witness.of("ran") == [4]

    run_test(test())


@pytest.mark.parametrize("sizes", [(1, 3), (1, 1, 2)])
def test_a_delay_that_a_full_batch_ended_starts_no_second_run(sizes: Sequence[int]) -> None:
    """The one timer of a delay is void once its batch runs: later requests wait for the thread."""

    async def test() -> None:
        gate, over = Gate(), asyncio.Event()
        with ThreadPoolExecutor(1) as executor:
            batcher = _batcher(gate, executor=executor, max_queue_delay_seconds=0.05, max_batch_rows=4)
            requests = [_rows(size, 5.0 * index) for index, size in enumerate((*sizes, 2))]
            tasks = []
            for rows in requests:
                tasks.append(asyncio.create_task(batcher.submit(rows)))
                await _turns()
            asyncio.get_running_loop().call_later(0.1, over.set)  # after the delay, on the same timers
            await over.wait()
            gate.open.set()
            for rows, task in zip(requests, tasks, strict=True):
                _check(rows, await task)
            assert gate.runs == [4, 2]

    run_test(test())


def test_a_delay_ends_by_itself() -> None:
    """A lone request runs when its delay is over, if no other request arrives."""

    async def test() -> None:
        batcher = _batcher(max_queue_delay_seconds=0.005)
        _check(_rows(1), await batcher.submit(_rows(1)))

    run_test(test())


def test_a_delay_never_costs_a_deadline() -> None:
    """A request whose deadline falls into the delay is not held back."""

    async def test() -> None:
        clock = Clock(100.0)
        batcher = _batcher(clock=clock, max_queue_delay_seconds=1000)
        patient = asyncio.create_task(batcher.submit(_rows(1)))
        await _turns()
        assert not patient.done()
        _check(_rows(2), await batcher.submit(_rows(2), clock.now + 500))
        _check(_rows(1), await patient)

    run_test(test())


def test_drain_does_not_wait_for_a_delay() -> None:
    """During a drain no request waits for a batch to fill."""

    async def test() -> None:
        witness = Witness()
        batcher = _batcher(witness=witness, max_queue_delay_seconds=1000)
        await batcher.submit(_rows(8))  # a full batch
        task = asyncio.create_task(batcher.submit(_rows(1)))
        await _turns()
        await batcher.drain()
        assert witness.of("ran") == [8, 1]
        _check(_rows(1), await task)

    run_test(test())


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_broken_batcher_lets_nobody_hang(in_thread: bool, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the batcher itself fails all waiting requests and is visible outside. Later requests are refused."""

    async def test(executor: Executor | None) -> None:
        witness = Witness()
        batcher = _batcher(witness=witness, max_batch_rows=2, executor=executor)
        await _crowd(batcher)
        witness.broken = True
        outcomes = await _outcomes(map(batcher.submit, [_rows(2), _rows(2), _rows(3)]))
        assert all(isinstance(outcome, InferenceFailed) for outcome in outcomes)
        assert not batcher.alive
        assert witness.of("died") == [None]
        with pytest.raises(ModelNotReady, match="the observer broke"):
            await batcher.submit(_rows(1))
        await batcher.drain()

    with caplog.at_level(logging.CRITICAL), ThreadPoolExecutor(1) as executor:
        run_test(test(executor if in_thread else None))
    assert "a batcher broke" in caplog.text


def test_an_executor_that_is_gone_lets_nobody_hang() -> None:
    """A thread pool that was shut down breaks the batcher, not its callers' patience."""

    async def test() -> None:
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        batcher = _batcher(executor=executor)
        with pytest.raises(InferenceFailed):
            await batcher.submit(_rows(1))
        assert not batcher.alive

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
        batcher = _batcher(witness=witness, max_batch_rows=max_batch_rows, executor=executor)
        requests = [_rows(size, 1000.0 * index) for index, size in enumerate(sizes)]
        tasks = [asyncio.create_task(batcher.submit(rows, bulk=index in bulk)) for index, rows in enumerate(requests)]
        await asyncio.sleep(0)
        for index in leavers:
            if index < len(tasks):
                tasks[index].cancel()
        outcomes = await _outcomes(tasks)
        for index, (rows, outcome) in enumerate(zip(requests, outcomes, strict=True)):
            if isinstance(outcome, Result):
                _check(rows, outcome)
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


def test_a_closed_batcher_lets_its_model_go() -> None:
    """At once, without the garbage collector, which ignores objects that existed when the server became ready."""

    class Model:
        def __call__(self, rows: Rows) -> Outputs:
            return _double(rows)

    async def test() -> None:
        model = Model()
        gone = weakref.ref(model)
        batcher = _batcher(model)
        await batcher.submit(_rows(1))
        await batcher.close()
        gc.disable()
        try:
            del model
            assert gone() is None
        finally:
            gc.enable()

    run_test(test())
