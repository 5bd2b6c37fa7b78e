"""Runs batches on the event loop or in a thread, and moves as the runs turn slow or quick."""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np

from service.batching.delivery import check_lengths
from service.batching.placement import Placement
from service.batching.request import Outputs, Rows

Run = Callable[[Rows], Outputs]
Outcome = Outputs | Exception


class Runner:
    """Has the callable of one batcher run. Used on one event loop; its caller never has two runs at once.

    Args:
        executor: A thread for the runs that do not take place on the event loop; None: all do.
        placement: Decides where they take place. Without an executor nothing moves.
        clock: Monotonic seconds.
        moved: Is called after a change of `placement.inline_rows`.
    """

    def __init__(
        self,
        executor: Executor | None,
        placement: Placement,
        clock: Callable[[], float],
        moved: Callable[[], None],
    ) -> None:
        self._executor = executor
        self._placement = placement
        self._clock = clock
        self._moved = moved

    def start(
        self,
        run: Run,
        blocks: Sequence[Rows],
        done: Callable[[Outcome], None],
        broke: Callable[[BaseException], None],
    ) -> None:
        """Run where the placement says: on the event loop before this returns, or in the thread while the loop goes on.

        Args:
            run: Takes rows [n, features] and gives outputs of n rows each.
            blocks: The rows.
            done: Gets the outcome of one run over all blocks, on the event loop.
            broke: Gets what `done` raises after a run in the thread.
        """
        rows = sum(map(len, blocks))
        if self._executor is None or rows <= self._placement.inline_rows:
            began = self._clock()
            outcome = _attempt(run, blocks)
            self.note(rows, self._clock() - began)
            done(outcome)
            return

        def ended(thread: asyncio.Future[tuple[Outcome, float]]) -> None:
            try:
                outcome, seconds = thread.result()
                self.note(rows, seconds)
                done(outcome)
            except BaseException as error:
                broke(error)

        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._executor, _attempt_in_thread, run, blocks, self._clock).add_done_callback(ended)

    def note(self, rows: int, seconds: float) -> None:
        """Count a run, its time without the hop. Those of `start` are counted already."""
        if self._executor is not None and self._placement.note(rows, seconds):
            self._moved()


def _attempt(run: Run, blocks: Sequence[Rows]) -> Outcome:
    """Outputs of one run over all blocks, or what went wrong in it; may be called in a thread."""
    try:
        rows = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return check_lengths(run(rows), len(rows))
    except Exception as error:
        return error


def _attempt_in_thread(run: Run, blocks: Sequence[Rows], clock: Callable[[], float]) -> tuple[Outcome, float]:
    """The same, with the seconds that the run would take on the event loop.

    In a thread a run may wait for the interpreter, which the event loop gives away after the switch interval (5 ms).
    So that much does not count, unless the thread computed in it.
    """
    began, began_busy = clock(), time.thread_time()
    outcome = _attempt(run, blocks)
    busy_seconds = time.thread_time() - began_busy
    return outcome, max(busy_seconds, clock() - began - sys.getswitchinterval())
