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

Outcome = Outputs | Exception


class Runner:
    """The callable of one batcher. Used on one event loop; its caller never has it run twice at once.

    Args:
        run: Takes rows [n, features] and gives outputs of n rows each.
        executor: A thread for the runs that do not take place on the event loop; None: all do.
        placement: Decides where they take place. Without an executor nothing moves.
        clock: Monotonic seconds.
        moved: Is called after a change of `inline_rows`.
    """

    def __init__(
        self,
        run: Callable[[Rows], Outputs],
        executor: Executor | None,
        placement: Placement,
        clock: Callable[[], float],
        moved: Callable[[], None],
    ) -> None:
        self._run = run
        self._executor = executor
        self._placement = placement
        self._clock = clock
        self._moved = moved

    @property
    def inline_rows(self) -> int:
        """Most rows of a run on the event loop now; 0: every run is in the thread."""
        return self._placement.inline_rows

    def run(self, blocks: Sequence[Rows]) -> Outcome:
        """Outputs of one run over all blocks on the event loop, or what went wrong in it."""
        began = self._clock()
        outcome = _attempt(self._run, blocks)
        if self._executor is not None:
            self._note(blocks, self._clock() - began)
        return outcome

    def start(
        self, blocks: Sequence[Rows], done: Callable[[Outcome], None], broke: Callable[[BaseException], None]
    ) -> None:
        """Run where the placement says: on the event loop before this returns, or in the thread while the loop goes on.

        Args:
            blocks: The rows.
            done: Gets the outcome, on the event loop.
            broke: Gets what `done` raises after a run in the thread.
        """
        if self._executor is None or sum(map(len, blocks)) <= self._placement.inline_rows:
            done(self.run(blocks))
            return

        def ended(thread: asyncio.Future[tuple[Outcome, float]]) -> None:
            try:
                outcome, seconds = thread.result()
                self._note(blocks, seconds)
                done(outcome)
            except BaseException as error:
                broke(error)

        thread = asyncio.get_running_loop().run_in_executor(
            self._executor, _attempt_in_thread, self._run, blocks, self._clock
        )
        thread.add_done_callback(ended)

    def close(self) -> None:
        """Let go of the callable: what it holds is large, and the garbage collector may not look here (server.py)."""
        self._run = _refuse_closed

    def _note(self, blocks: Sequence[Rows], seconds: float) -> None:
        if self._placement.note(sum(map(len, blocks)), seconds):
            self._moved()


def _attempt(run: Callable[[Rows], Outputs], blocks: Sequence[Rows]) -> Outcome:
    """Outputs of one run over all blocks, or what went wrong in it; may be called in a thread."""
    try:
        rows = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return check_lengths(run(rows), len(rows))
    except Exception as error:
        return error


def _attempt_in_thread(
    run: Callable[[Rows], Outputs], blocks: Sequence[Rows], clock: Callable[[], float]
) -> tuple[Outcome, float]:
    """The same, with the seconds that the run would take on the event loop.

    In a thread a run may wait for the interpreter, which the event loop gives away after the switch interval (5 ms).
    So that much does not count, unless the thread computed in it.
    """
    began, began_busy = clock(), time.thread_time()
    outcome = _attempt(run, blocks)
    busy_seconds = time.thread_time() - began_busy
    return outcome, max(busy_seconds, clock() - began - sys.getswitchinterval())


def _refuse_closed(rows: Rows) -> Outputs:
    raise RuntimeError(f"{len(rows)} rows for a batcher that is closed")
