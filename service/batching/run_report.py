"""Tells of runs that have ended: the observer, the log, and those who follow their requests."""

import logging
from collections.abc import Callable, Sequence

from service.batching.pace import Pace
from service.batching.request import BatchObserver, Follower, Run
from service.batching.runner import Outcome

_log = logging.getLogger(__name__)


class RunReport:
    """Reports the runs of one batcher.

    Args:
        name: The batcher's, for the log.
        observer: Counts runs that did not fail.
        pace: Likewise.
        clock: Monotonic seconds.
    """

    def __init__(self, name: str, observer: BatchObserver, pace: Pace, clock: Callable[[], float]) -> None:
        self._name = name
        self._observer = observer
        self._pace = pace
        self._clock = clock

    def ran(self, rows: int, started: float, outcome: Outcome, followers: Sequence[Follower | None]) -> float:
        """Tell of a run that has ended.

        Args:
            rows: Its rows.
            started: When it began.
            outcome: Its outputs, or why there are none.
            followers: One for each request of the batch; None for a request that nobody follows.

        Returns:
            Its time in seconds, with the hop to a thread and back.
        """
        seconds = self._clock() - started
        failed = isinstance(outcome, Exception)
        if isinstance(outcome, Exception):
            _log.error("%s: a run failed", self._name, exc_info=outcome)
        else:
            self._observer.ran(rows, seconds)
            self._pace.note(rows, seconds)
        told = tuple(follower for follower in followers if follower is not None) if followers else ()
        if told:
            run = Run(started, seconds, rows, len(followers), told, None if failed else self._observer.traced)
            for follower in told:
                follower.ran(run)
        return seconds

    def broke(self, cause: BaseException) -> None:
        """Tell of a fault of the batcher's own."""
        _log.critical("%s: a batcher broke", self._name, exc_info=cause)
