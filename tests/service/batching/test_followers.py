"""Followers of requests are told of their way: when they came, and of each run with rows of them."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from service.batching.request import Run
from service.errors import DeadlineExceeded, InferenceFailed
from tests.kit.clock import Clock
from tests.kit.parts.batching import double_in, double_no_negative, new_batcher, send_crowd, some_rows


@dataclass(eq=False)
class Witness:
    """Keeps what it is told."""

    submitted_at: list[float] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def submitted(self, at: float) -> None:
        self.submitted_at.append(at)

    def ran(self, run: Run) -> None:
        self.runs.append(run)


def test_a_request_that_runs_at_once() -> None:
    """Its follower is told of the moment and of its own run."""
    clock, witness = Clock(), Witness()

    async def check() -> None:
        await new_batcher(double_in(clock, 0.5), clock=clock).submit(some_rows(3), follower=witness)

    asyncio.run(check())
    assert witness.submitted_at == [1000]
    (run,) = witness.runs
    assert (run.started, run.seconds, run.rows, run.requests, run.followers) == (1000, 0.5, 3, 1, (witness,))


def test_requests_of_one_batch_are_told_of_the_same_run() -> None:
    """The run names its size and those who follow it; a request without a follower is in it too."""
    first, second = Witness(), Witness()

    async def check() -> None:
        batcher = new_batcher(max_batch_rows=100)
        await send_crowd(batcher)
        await asyncio.gather(
            batcher.submit(some_rows(2), follower=first),
            batcher.submit(some_rows(3)),
            batcher.submit(some_rows(4), follower=second),
        )

    asyncio.run(check())
    (run,) = first.runs
    assert second.runs == [run]
    assert (run.rows, run.requests, run.followers) == (9, 3, (first, second))


def test_a_request_of_several_batches_is_told_of_each() -> None:
    """20 rows in batches of 8 are three runs, in order."""
    witness = Witness()
    asyncio.run(new_batcher(max_batch_rows=8).submit(some_rows(20), follower=witness))
    assert [run.rows for run in witness.runs] == [8, 8, 4]


def test_a_run_that_fails_is_told_of_before_the_caller() -> None:
    """A trace of it shows the time that the run took."""
    witness = Witness()
    with pytest.raises(InferenceFailed):
        asyncio.run(new_batcher(double_no_negative).submit(-some_rows(2) - np.float32(1), follower=witness))
    assert len(witness.runs) == 1


def test_a_request_that_is_late_has_no_run() -> None:
    """It was submitted, and that is all."""
    witness = Witness()
    with pytest.raises(DeadlineExceeded):
        asyncio.run(new_batcher(clock=Clock()).submit(some_rows(2), deadline=999.0, follower=witness))
    assert (witness.submitted_at, witness.runs) == ([1000], [])
