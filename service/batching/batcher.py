"""Rows in, one callable, rows out: what waits while the callable is busy is run together.

Nothing here knows gRPC, protobuf or onnxruntime. One event loop owns a batcher; only the callable may run in a thread.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

from service.batching.batch_window import BatchWindow
from service.batching.delivery import check_lengths, deliver, refuse_closed, run_failure
from service.batching.pace import Pace
from service.batching.placement import Placement
from service.batching.queue_delay import QueueDelay
from service.batching.request import BatchObserver, Follower, Outputs, Part, Request, Result, Rows
from service.batching.request_queue import RequestQueue
from service.batching.run_report import RunReport
from service.batching.runner import Outcome, Runner
from service.batching.turns import Turn
from service.errors import Draining, InvalidRequest, ModelNotReady


class Batcher:
    """Runs waiting requests together whenever the callable is free.

    A request that arrives alone runs at once, in its caller's turn of the event loop: waiting for the next turn costs
    more than the run of a small model. Requests that arrive close together run together, after a batch window.

    Args:
        run: Takes rows [n, features], n ≤ max_batch_rows, and gives outputs of n rows each. Never called twice at once.
        max_batch_rows: Most rows a run; a larger request is run in blocks.
        max_queue_rows: Most rows that may wait; a request that would pass it is refused at once.
        max_queue_delay_seconds: How long a request may be held back for a batch to fill; 0 holds nothing back.
        executor: A thread for the runs that do not take place on the event loop; None: all do.
        placement: Decides which of them do; left out: none, if there is an executor.
        quiet_turns: As for :class:`service.batching.batch_window.BatchWindow`; not used while runs are in the thread.
        shares_core: As for the window.
        observer: Who is told.
        turn: When a batch may run beside those of other models; at any time when left out.
        clock: Monotonic seconds; deadlines are on it.
        name: Of what runs, for the log.
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
        placement: Placement | None = None,
        quiet_turns: int = 0,
        shares_core: bool = False,
        turn: Turn | None = None,
        clock: Callable[[], float] = time.monotonic,
        name: str = "a model",
    ) -> None:
        self.max_batch_rows = max_batch_rows
        self._run, self._turn = run, turn or Turn()
        self._observer, self._clock = observer, clock
        self._placement = placement or Placement(max_batch_rows if executor is None else 0)
        self._runner = Runner(executor, self._placement, clock, self._moved)
        self._queue = RequestQueue(max_queue_rows, observer)
        self._batch: list[Part] = []  # what runs now
        self._delay = QueueDelay(max_queue_delay_seconds, max_batch_rows, self._queue, clock, self._dispatch)
        self._pace = Pace(max_batch_rows)
        self._report = RunReport(name, observer, self._pace, clock)
        self._most_at_once_rows = 0 if max_queue_delay_seconds else max_queue_rows
        self._quiet_turns = quiet_turns
        turns, is_full = quiet_turns if self.inline else 0, lambda: self._queue.rows >= max_batch_rows
        self._window = BatchWindow(turns, clock, is_full, self._dispatch, shares_core=shares_core)
        self._draining, self._idle = False, asyncio.Event()
        self._death: BaseException | None = None

    @property
    def alive(self) -> bool:
        """False once the batcher itself broke (a failing run breaks nothing): it then refuses everything."""
        return self._death is None

    @property
    def inline(self) -> bool:
        """Whether runs are on the event loop now, at least those of few rows."""
        return self._placement.inline_rows > 0

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
        # Wherever a request may run at once, a run is under way or a window is open while others wait.
        concurrent = self._window.concurrent or self._window.is_open or bool(self._batch)
        others = concurrent or self._turn.turns.highest > self._turn.priority
        most_rows = min(self._placement.inline_rows, self._most_at_once_rows)
        if bulk:
            most_rows = min(most_rows, self._pace.max_bulk_rows(now))
        return not (others or (deadline is not None and now >= deadline) or len(rows) > most_rows)

    def _run_at_once(self, rows: Rows, started: float, follower: Follower | None) -> Result:
        """Run one request alone, in its caller's turn of the loop."""
        try:
            # Before the run, since a run that hangs has to be seen too.
            self._observer.accepted(len(rows))
            self._observer.waited(0.0)
            try:  # here, not by the runner: one layer less on the way of most requests
                outcome: Outcome = check_lengths(self._run(rows), len(rows))
            except Exception as error:
                outcome = error
            seconds = self._report.ran(len(rows), started, outcome, () if follower is None else (follower,))
            self._runner.note(len(rows), seconds, outcome)
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
            self._runner.start(self._run, blocks, partial(self._finish, started), self._die)
        except BaseException as error:
            self._die(error)
            if not isinstance(error, Exception):
                raise

    def _finish(self, started: float, outcome: Outcome) -> None:
        """Give each request of the batch its rows, or the error, and go on."""
        rows = sum(stop - start for _, start, stop in self._batch)
        batch_seconds = self._report.ran(rows, started, outcome, [part.request.follower for part in self._batch])
        if isinstance(outcome, Exception):
            self._queue.fail((part.request for part in self._batch), outcome)
        else:
            deliver(self._batch, outcome, batch_seconds)
        self._batch = []
        self._wake()
        self._settle()

    def _moved(self) -> None:
        """Runs are on the event loop from now on, or in the thread."""
        self._window.quiet_turns = self._quiet_turns if self.inline else 0
        self._observer.placed(inline=self.inline)

    def _die(self, cause: BaseException) -> None:
        """A fault of the batcher's own: let nobody wait for ever, and take nothing new."""
        self._report.broke(cause)
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
