"""A run that fails is an error of its own requests. A fault of the batcher itself fails all of them, and is seen."""

import logging
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest

from service.batching.batcher import Batcher
from service.batching.request import Outputs, Result, Rows
from service.errors import InferenceFailed, ModelNotReady
from tests.kit.parts.batching import (
    Witness,
    check_answer,
    double,
    double_no_negative,
    new_batcher,
    outcomes_of,
    send_crowd,
    some_rows,
    turns,
)
from tests.kit.waiting import run_test


def test_a_run_at_once_that_fails_tells_its_caller_only(caplog: pytest.LogCaptureFixture) -> None:
    """The cause is chained, the log has one line, and the next request is answered."""

    async def test() -> None:
        witness = Witness()
        batcher = new_batcher(double_no_negative, witness=witness)
        with pytest.raises(InferenceFailed, match="negative") as caught:
            await batcher.submit(some_rows(1, -100.0))
        assert isinstance(caught.value.__cause__, FloatingPointError)
        await turns()
        check_answer(some_rows(2), await batcher.submit(some_rows(2)))
        assert batcher.alive
        assert witness.of("ran") == [2]

    with caplog.at_level(logging.ERROR):
        run_test(test())
    assert [record.message for record in caplog.records] == ["a model: a run failed"]
    assert "FloatingPointError" in caplog.text, "the traceback is there too"


def test_a_failing_run_fails_its_own_requests_only(caplog: pytest.LogCaptureFixture) -> None:
    """Every request of the failed run gets the cause. The next run works, and the log has one line."""

    async def test() -> None:
        batcher = new_batcher(double_no_negative, max_batch_rows=4)
        await send_crowd(batcher)
        outcomes = await outcomes_of(map(batcher.submit, [some_rows(2), some_rows(2, -100.0), some_rows(4, 7.0)]))
        for failed in outcomes[:2]:
            assert isinstance(failed, InferenceFailed)
            assert isinstance(failed.__cause__, FloatingPointError)
        assert isinstance(outcomes[2], Result)
        check_answer(some_rows(4, 7.0), outcomes[2])
        assert batcher.alive

    with caplog.at_level(logging.ERROR):
        run_test(test())
    assert [record.message for record in caplog.records] == ["a model: a run failed"]
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
            await new_batcher(run, max_batch_rows=2, witness=witness).submit(some_rows(10))
        await turns()
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
            await new_batcher(lambda _: outputs).submit(some_rows(2))

    run_test(test())


def test_rows_of_another_width_fail_alone() -> None:
    """One request with a wrong width blocks no other: requests before and after it get their answers."""

    async def test() -> None:
        def run(rows: Rows) -> Outputs:
            if rows.shape[1] != 3:
                raise ValueError("width")
            return double(rows)

        batcher = new_batcher(run)
        await send_crowd(batcher)
        good, bad = some_rows(2), some_rows(2, features=5)
        outcomes = await outcomes_of(map(batcher.submit, [good, bad, good]))
        assert [isinstance(outcome, Result) for outcome in outcomes] == [True, False, True]

    run_test(test())


def test_a_batcher_that_breaks_in_a_run_at_once_is_dead(caplog: pytest.LogCaptureFixture) -> None:
    """The request fails, later ones are refused, and drain() returns."""

    async def test() -> None:
        witness = Witness(broken=True)
        batcher = new_batcher(witness=witness)
        with pytest.raises(InferenceFailed, match="the observer broke"):
            await batcher.submit(some_rows(1))
        assert not batcher.alive
        assert witness.of("died") == [None]
        with pytest.raises(ModelNotReady):
            await batcher.submit(some_rows(1))
        await batcher.drain()

    with caplog.at_level(logging.CRITICAL):
        run_test(test())
    assert "a batcher broke" in caplog.text


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_broken_batcher_lets_nobody_hang(in_thread: bool, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the batcher itself fails all waiting requests and is visible outside. Later requests are refused."""

    async def test(executor: Executor | None) -> None:
        witness = Witness()
        batcher = new_batcher(witness=witness, max_batch_rows=2, executor=executor)
        await send_crowd(batcher)
        witness.broken = True
        outcomes = await outcomes_of(map(batcher.submit, [some_rows(2), some_rows(2), some_rows(3)]))
        assert all(isinstance(outcome, InferenceFailed) for outcome in outcomes)
        assert not batcher.alive
        assert witness.of("died") == [None]
        with pytest.raises(ModelNotReady, match="the observer broke"):
            await batcher.submit(some_rows(1))
        await batcher.drain()

    with caplog.at_level(logging.CRITICAL), ThreadPoolExecutor(1) as executor:
        run_test(test(executor if in_thread else None))
    assert "a batcher broke" in caplog.text


def test_an_executor_that_is_gone_lets_nobody_hang() -> None:
    """A thread pool that was shut down breaks the batcher, not its callers' patience."""

    async def test() -> None:
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        batcher = new_batcher(executor=executor)
        with pytest.raises(InferenceFailed):
            await batcher.submit(some_rows(1))
        assert not batcher.alive

    run_test(test())


@pytest.mark.parametrize("crowd", [False, True])
def test_an_interrupt_in_a_run_is_no_answer(crowd: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It ends the event loop, as anywhere else, and the batcher takes nothing new."""
    batchers: list[Batcher] = []

    def run(rows: Rows) -> Outputs:
        if len(rows) == 2:
            raise KeyboardInterrupt
        return double(rows)

    async def test() -> None:
        batchers.append(new_batcher(run))
        if crowd:
            await send_crowd(batchers[0])
        await batchers[0].submit(some_rows(2))

    with caplog.at_level(logging.CRITICAL), pytest.raises(KeyboardInterrupt):
        run_test(test())
    assert not batchers[0].alive
