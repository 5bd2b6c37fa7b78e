"""Where the next run takes place, on the event loop or in a thread: decided by the times of the runs before it.

A run on the event loop holds every other request, and a hop to a thread and back costs 100 µs. Example: a model whose
runs take 0.2 ms runs on the event loop. One run takes 40 ms: the next ones run in the thread. After 320 runs in a row
there of less than 2 ms each, the model runs on the event loop again. If it is slow again within 320 runs, it has to be
quick 640 times before the next move, for times in the thread then say little of those on the event loop.
"""

from typing import Final

# Most seconds of a run on the event loop, by the size of a batch that warm-up chooses.
INLINE_SECONDS: Final = 2e-3
# The mean of the last runs may be above it by this factor, since other work slows runs; beyond that, a model has turned
# slow.
NOISE: Final = 1.25
_MOST_MEAN_SECONDS = NOISE * INLINE_SECONDS
_RUNS_REMEMBERED = 8
# A single run that takes longer moves the model to the thread at once, whatever the mean.
_MOST_SECONDS = 2 * INLINE_SECONDS
# So many quick runs in a row move it back, for each 4 ms that the slow run held the event loop. A model whose time
# depends on the data therefore holds it for an eighth of a millisecond a run on average.
_QUICK_RUNS, _MOST_QUICK_RUNS = 32, 10_000


class Placement:
    """Decides where runs take place. It reads no clock and knows no event loop.

    Args:
        inline_rows: Most rows of a run on the event loop at first; 0: all runs are in the thread.

    Attributes:
        inline_rows: Most rows of the next run on the event loop; larger ones are in the thread. 0: all are.
    """

    def __init__(self, inline_rows: int) -> None:
        self.inline_rows = inline_rows
        self._mean_seconds = 0.0
        self._quick_runs = self._quick_rows = 0  # in a row in the thread, and most rows of one of them
        self._wanted_runs = _QUICK_RUNS
        self._inline_runs = _MOST_QUICK_RUNS if inline_rows else 0  # since the last move back

    def note(self, rows: int, seconds: float) -> bool:
        """Count a run, wherever it was.

        Args:
            rows: Its rows.
            seconds: Its time, without the hop.

        Returns:
            Whether `inline_rows` has changed.
        """
        if not self.inline_rows:
            return self._note_in_thread(rows, seconds)
        if rows > self.inline_rows:  # in the thread, since no run of so many rows has been seen to be quick
            return seconds <= INLINE_SECONDS and self._move(rows)
        self._inline_runs += 1
        self._mean_seconds += (seconds - self._mean_seconds) / _RUNS_REMEMBERED
        if seconds <= _MOST_SECONDS and self._mean_seconds <= _MOST_MEAN_SECONDS:
            return False
        self._quick_runs = self._quick_rows = 0
        wanted = max(_QUICK_RUNS, int(_QUICK_RUNS * seconds / _MOST_SECONDS))
        if self._inline_runs <= self._wanted_runs:
            wanted = max(wanted, 2 * self._wanted_runs)
        self._wanted_runs = min(_MOST_QUICK_RUNS, wanted)
        self._mean_seconds = 0.0
        return self._move(0)

    def _note_in_thread(self, rows: int, seconds: float) -> bool:
        if seconds > INLINE_SECONDS:
            self._quick_runs = self._quick_rows = 0
            return False
        self._quick_runs += 1
        self._quick_rows = max(self._quick_rows, rows)
        if self._quick_runs < self._wanted_runs:
            return False
        self._inline_runs = 0
        return self._move(self._quick_rows)

    def _move(self, inline_rows: int) -> bool:
        self.inline_rows = inline_rows
        return True
