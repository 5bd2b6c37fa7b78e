"""Runs batches on the event loop or in a thread, and moves as the runs turn slow or quick."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np

from service.batching.delivery import check_lengths
from service.batching.placement import INLINE_SECONDS, Placement
from service.batching.request import Outputs, Rows

Run = Callable[[Rows], Outputs]
Outcome = Outputs | Exception

_log = logging.getLogger(__name__)

# As Python says it. The other RuntimeErrors of an executor mean that it is closed.
_NO_THREAD = "can't start new thread"


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
        executor, in_thread = self._executor, rows > self._placement.inline_rows
        if executor is not None and in_thread and self._start_thread(executor, run, blocks, done, broke):
            return
        began = self._clock()
        outcome = _attempt(run, blocks)
        self.note(rows, self._clock() - began, outcome)
        done(outcome)

    def note(self, rows: int, seconds: float, outcome: Outcome) -> None:
        """Count a run, its time without the hop. Those of `start` are counted already."""
        # A run that fails fast says nothing of those that do not fail.
        if isinstance(outcome, Exception) and seconds <= INLINE_SECONDS:
            return
        if self._executor is not None and self._placement.note(rows, seconds):
            self._moved()

    def _start_thread(
        self,
        executor: Executor,
        run: Run,
        blocks: Sequence[Rows],
        done: Callable[[Outcome], None],
        broke: Callable[[BaseException], None],
    ) -> bool:
        """Run in the thread; gives whether there is one. The arguments are those of `start`."""

        def ended(thread: asyncio.Future[tuple[Outcome, float]]) -> None:
            try:
                outcome, seconds = thread.result()
                self.note(sum(map(len, blocks)), seconds, outcome)
                done(outcome)
            except BaseException as error:
                broke(error)

        given, loop = list(blocks), asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(executor, _attempt_in_thread, run, given, self._clock)
        except RuntimeError as error:
            if _NO_THREAD not in str(error):
                raise
            # The thread starts with the first run there, perhaps long after the load, and the process may have no room
            # for it by then. The executor keeps what it was given, so that a thread that starts later finds no rows.
            given.clear()
            _log.warning("a run that should be in a thread is on the event loop: %s", error)
            return False
        running.add_done_callback(ended)
        return True


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
