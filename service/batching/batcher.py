"""Rows in, one callable, rows out: what waits while the callable is busy is run together.

Nothing here knows gRPC, protobuf or onnxruntime. One event loop owns a batcher; only the callable may run in a thread.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np

from service.batching.batch_window import BatchWindow
from service.batching.delivery import check_lengths, deliver, refuse_closed, run_failure, tell_followers
from service.batching.pace import Pace
from service.batching.queue_delay import QueueDelay
from service.batching.request import BatchObserver, Follower, Outputs, Part, Request, Result, Rows
from service.batching.request_queue import RequestQueue
from service.batching.turns import Turn
from service.errors import Draining, InvalidRequest, ModelNotReady

_log = logging.getLogger(__name__)


class Batcher:
    """Runs waiting requests together whenever the callable is free.

    A request that arrives alone runs at once, in its caller's turn of the event loop: waiting for the next turn costs
    more than the run of a small model. Requests that arrive close together run together, after a batch window.

    Args:
        run: Takes rows [n, features], n ≤ max_batch_rows, and gives outputs of n rows each. Never called twice at once.
        max_batch_rows: Most rows a run; a larger request is run in blocks.
        max_queue_rows: Most rows that may wait; a request that would pass it is refused at once.
        max_queue_delay_seconds: How long a request may be held back for a batch to fill; 0 holds nothing back.
        executor: Where `run` runs; on the event loop itself when left out.
        quiet_turns: As for :class:`service.batching.batch_window.BatchWindow`; not used with an executor.
        observer: Who is told.
        turn: When a batch may run beside those of other models; at any time when left out.
        clock: Monotonic seconds; deadlines are on it.
    """

    def __init__(
        self,
        run: Callable[[Rows], Outputs],
        *,
        max_batch_rows: int,
        max_queue_rows: int,
        observer: BatchObserver,
        max_queue_delay_seconds: float = 0.0,
        executor: Executor | None = None,
        quiet_turns: int = 0,
        turn: Turn | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_batch_rows = max_batch_rows
        self._run, self._executor = run, executor
        self._observer, self._clock = observer, clock
        self._turn = turn or Turn()
        self._queue = RequestQueue(max_queue_rows, observer)
        self._batch: list[Part] = []  # what runs now
        self._delay = QueueDelay(max_queue_delay_seconds, max_batch_rows, self._queue, clock, self._dispatch)
        self._pace = Pace(max_batch_rows)
        inline = executor is None and not max_queue_delay_seconds
        self._at_once_rows = min(max_batch_rows, max_queue_rows) if inline else 0
        turns = quiet_turns if executor is None else 0
        self._window = BatchWindow(turns, clock, lambda: self._queue.rows >= max_batch_rows, self._dispatch)
        self._draining, self._idle = False, asyncio.Event()
        self._death: BaseException | None = None

    @property
    def alive(self) -> bool:
        """False once the batcher itself broke (a failing run breaks nothing): it then refuses everything."""
        return self._death is None

    async def submit(
        self, rows: Rows, deadline: float | None = None, *, bulk: bool = False, follower: Follower | None = None
    ) -> Result:
        """Answers for some rows, run together with those of other callers. Cancel it to leave the queue.

        Args:
            rows: [n, features], n ≥ 1. Must not change until this returns.
            deadline: On the batcher's clock; rows not run by then are not run.
            bulk: Let interactive requests go first: while they wait, only every fourth batch takes bulk rows first.
            follower: Is told of the request's way.

        Returns:
            Outputs of n rows each, in the order that `run` gives them.

        Raises:
            InvalidRequest: No rows.
            Draining: The batcher is stopping.
            ModelNotReady: The batcher broke.
            DeadlineExceeded: The deadline passed before the rows were run.
            Overloaded: The rows would pass max_queue_rows, or those in bulk half of it.
            InferenceFailed: The run that held these rows failed; the cause is chained.
        """
        self._admit(rows)
        now = self._clock()
        if follower is not None:
            follower.submitted(now)
        if not bulk:
            self._pace.interactive_arrived = now
        if self._may_run_at_once(rows, deadline, now, bulk):
            return self._run_at_once(rows, now, follower)
        request = Request(rows, deadline, now, asyncio.get_running_loop().create_future(), bulk, follower)
        self._queue.put(request, self._pace.row_seconds())
        self._turn.enter()
        self._window.arrived()
        self._wake()
        try:
            return await request.future
        except asyncio.CancelledError:
            self._queue.leave(request, self._clock())
            self._settle()
            raise

    async def drain(self) -> None:
        """Refuse what is new and wait until everything accepted is answered."""
        self._draining = True
        self._wake()
        self._settle()
        await self._idle.wait()

    async def close(self) -> None:
        """Refuse what is new, fail what waits with Draining, and wait for the run that is under way."""
        self._queue.drop_all()
        await self.drain()
        # What it holds is large, and the garbage collector may not look at a batcher (server.py).
        self._run = refuse_closed

    def _admit(self, rows: Rows) -> None:
        """Refuse what may not wait, however empty the queue."""
        if self._death is not None:
            raise ModelNotReady(f"the model's batcher broke: {self._death!r}") from self._death
        if self._draining:
            self._observer.rejected("draining")
            raise Draining("the server is stopping and takes nothing new")
        if len(rows) < 1:
            raise InvalidRequest("the request holds no rows, wanted at least one")

    def _may_run_at_once(self, rows: Rows, deadline: float | None, now: float, bulk: bool) -> bool:
        """Whether a request need not wait for its turn on the loop."""
        # Wherever a request may run at once, a window is open while others wait.
        others = self._window.concurrent or self._window.is_open or self._turn.turns.highest > self._turn.priority
        most_rows = min(self._at_once_rows, self._pace.max_bulk_rows(now)) if bulk else self._at_once_rows
        return not (others or (deadline is not None and now >= deadline) or len(rows) > most_rows)

    def _run_at_once(self, rows: Rows, started: float, follower: Follower | None) -> Result:
        """Run one request alone, in its caller's turn of the loop."""
        try:
            # Before the run, since a run that hangs has to be seen too.
            self._observer.accepted(len(rows))
            self._observer.waited(0.0)
            outcome = _attempt(self._run, (rows,))
            seconds = self._ran(len(rows), started, outcome)
            if follower is not None:
                tell_followers((follower,), started, seconds, len(rows))
            self._window.arrived_alone(started, started + seconds)
        except BaseException as error:
            self._die(error)
            if not isinstance(error, Exception):
                raise
            outcome = error
        if isinstance(outcome, Exception):
            raise run_failure(outcome)
        return Result(tuple(outcome), 0.0, seconds)

    def _wake(self) -> None:
        """See to it that waiting requests run: soon, or after the queue delay."""
        if self._batch or self._window.is_open or self._turn.is_waiting or not self._queue:
            return
        if self._draining or not self._delay.hold():
            # In a later turn: other callers may arrive, and between inline runs the rest of the loop gets its turn.
            self._window.open()

    def _dispatch(self) -> None:
        """Form one batch of what waits and run it."""
        self._window.close()
        self._delay.cancel()
        if self._turn.must_wait(self._dispatch):
            return
        try:
            started = self._clock()
            self._batch = self._queue.take(self.max_batch_rows, started, self._pace.max_bulk_rows(started))
            if not self._batch:
                self._settle()
                return
            blocks = [request.rows[start:stop] for request, start, stop in self._batch]
            if self._executor is None:
                self._finish(started, _attempt(self._run, blocks))
            else:
                self._dispatch_to_thread(self._executor, started, blocks)
        except BaseException as error:
            self._die(error)
            if not isinstance(error, Exception):
                raise

    def _dispatch_to_thread(self, executor: Executor, started: float, blocks: list[Rows]) -> None:
        """Run the batch in the executor; the event loop goes on."""

        def finish(thread: asyncio.Future[Outputs | Exception]) -> None:
            try:
                self._finish(started, thread.result())
            except BaseException as error:
                self._die(error)

        asyncio.get_running_loop().run_in_executor(executor, _attempt, self._run, blocks).add_done_callback(finish)

    def _finish(self, started: float, outcome: Outputs | Exception) -> None:
        """Give each request of the batch its rows, or the error, and go on."""
        rows = sum(stop - start for _, start, stop in self._batch)
        batch_seconds = self._ran(rows, started, outcome)
        tell_followers([part.request.follower for part in self._batch], started, batch_seconds, rows)
        if isinstance(outcome, Exception):
            self._queue.fail((part.request for part in self._batch), outcome)
        else:
            deliver(self._batch, outcome, batch_seconds)
        self._batch = []
        self._wake()
        self._settle()

    def _ran(self, rows: int, started: float, outcome: Outputs | Exception) -> float:
        """Tell of a run that has ended; gives its time in seconds."""
        seconds = self._clock() - started
        if isinstance(outcome, Exception):
            _log.error("a run failed", exc_info=outcome)
        else:
            self._observer.ran(rows, seconds)
            self._pace.note(rows, seconds)
        return seconds

    def _die(self, cause: BaseException) -> None:
        """A fault of the batcher's own: let nobody wait for ever, and take nothing new."""
        _log.critical("a batcher broke", exc_info=cause)
        self._death = cause
        self._queue.fail([*(part.request for part in self._batch), *self._queue.waiting()], cause)
        self._batch = []
        self._settle()
        self._observer.died()

    def _settle(self) -> None:
        """Once nothing waits and nothing runs, let other models run, and let drain() return."""
        self._turn.settle(is_running=bool(self._batch), waits=bool(self._queue))
        if self._draining and not self._batch and not self._queue:
            self._idle.set()


def _attempt(run: Callable[[Rows], Outputs], blocks: Sequence[Rows]) -> Outputs | Exception:
    """Outputs of one run over all blocks, or what went wrong in it; may be called in a thread."""
    try:
        rows = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return check_lengths(run(rows), len(rows))
    except Exception as error:
        return error
