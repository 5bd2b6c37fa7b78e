"""A batcher whose runs numpy computes and whose observer is a list: it needs no model, no server and no sleeps."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from service.batching.batcher import Batcher
from service.batching.placement import Placement
from service.batching.request import Outputs, Result, Rows
from service.batching.turns import Turn
from tests.kit.clock import Clock


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

    def traced(self, seconds: float, trace_id: str) -> None:
        self.events.append(("traced", trace_id))

    def rejected(self, reason: str) -> None:
        self.events.append(("rejected", reason))

    def placed(self, *, inline: bool) -> None:
        self.events.append(("placed", inline))

    def died(self) -> None:
        self.events.append(("died", None))

    def of(self, kind: str) -> list[object]:
        return [value for name, value in self.events if name == kind]


@dataclass
class HeldRun:
    """A callable for a worker thread that waits until the test opens it: the thread is busy until then."""

    open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    runs: list[int] = field(default_factory=list)

    def __call__(self, rows: Rows) -> Outputs:
        self.runs.append(len(rows))
        self.entered.set()
        assert self.open.wait(60)
        return double(rows)


def double(rows: Rows) -> Outputs:
    """Two outputs, so that their order is seen."""
    return [rows * 2, rows.sum(axis=1, keepdims=True)]


def double_in(clock: Clock, seconds: float = 0.0, row_seconds: float = 0.0) -> Callable[[Rows], Outputs]:
    """The same, and the clock moves on: so many seconds a run, and so many for each of its rows."""

    def run(rows: Rows) -> Outputs:
        clock.now += seconds + row_seconds * len(rows)
        return double(rows)

    return run


def double_no_negative(rows: Rows) -> Outputs:
    """The same of rows at or above 0. A run with a number below 0 fails."""
    if (rows < 0).any():
        raise FloatingPointError("negative")
    return double(rows)


def some_rows(count: int, first: float = 0.0, features: int = 3) -> Rows:
    """Rows of consecutive numbers from `first`."""
    return np.arange(count * features, dtype=np.float32).reshape(count, features) + np.float32(first)


def new_batcher(
    run: Callable[[Rows], Outputs] = double,
    *,
    witness: Witness | None = None,
    max_batch_rows: int = 8,
    max_queue_rows: int = 1000,
    max_queue_delay_seconds: float = 0.0,
    executor: Executor | None = None,
    placement: Placement | None = None,
    quiet_turns: int = 0,
    clock: Callable[[], float] | None = None,
    turn: Turn | None = None,
) -> Batcher:
    """A batcher of small batches on a clock that stands still."""
    return Batcher(
        run,
        max_batch_rows=max_batch_rows,
        max_queue_rows=max_queue_rows,
        max_queue_delay_seconds=max_queue_delay_seconds,
        executor=executor,
        placement=placement,
        quiet_turns=quiet_turns,
        observer=witness or Witness(),
        clock=clock or Clock(100.0),
        turn=turn,
    )


def check_answer(rows: Rows, result: Result) -> None:
    """The outputs are those of these rows."""
    doubled, sums = double(rows)
    np.testing.assert_array_equal(result.outputs[0], doubled)
    np.testing.assert_array_equal(result.outputs[1], sums)


async def turns(count: int = 3) -> None:
    """Let everything on the loop that is ready have its turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def begin_run(held: HeldRun, batcher: Batcher, *sizes: int) -> list["asyncio.Task[Result]"]:
    """Send requests of so many rows in one turn, and return once their run has begun."""
    asked = [asyncio.create_task(batcher.submit(some_rows(rows, place))) for place, rows in enumerate(sizes)]
    await turns()
    assert await asyncio.to_thread(held.entered.wait, 60)
    return asked


async def send_crowd(batcher: Batcher) -> None:
    """Let two requests arrive in one turn. From then on the batcher expects concurrent requests."""
    await asyncio.gather(batcher.submit(some_rows(1)), batcher.submit(some_rows(1)))


async def send_one_a_turn(batcher: Batcher, count: int) -> list["asyncio.Task[Result]"]:
    """Requests of one row that arrive in one turn of the event loop after another."""
    asked = []
    for place in range(count):
        asked.append(asyncio.create_task(batcher.submit(some_rows(1, place))))
        await turns(1)
    return asked


async def outcomes_of(tasks: Iterable[Awaitable[Result]]) -> Sequence[Result | BaseException]:
    """The answer or the error of each."""
    outcomes: Sequence[Result | BaseException] = await asyncio.gather(*tasks, return_exceptions=True)
    return outcomes
