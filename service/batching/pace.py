"""How long a row takes of late, and how many bulk rows a batch may therefore hold."""

import math

# The time of a row is a mean that forgets: it counts about this many runs.
_RUNS_REMEMBERED = 8
# For this long after an interactive request the next one is expected: until then a batch holds no more bulk rows than
# run in _BULK_SECONDS. An interactive request that arrives waits for the batch that runs, perhaps for one whose turn
# bulk is, and for its own. Fewer than _LEAST_BULK_ROWS would cost too much a row.
_INTERACTIVE_SECONDS = 1.0
_BULK_SECONDS, _LEAST_BULK_ROWS = 1e-3, 32


class Pace:
    """The mean time of a row, and the bound on bulk rows that follows from it.

    Args:
        max_batch_rows: Most rows a run.

    Attributes:
        interactive_arrived: When the last interactive request arrived, on the batcher's clock.
    """

    def __init__(self, max_batch_rows: int) -> None:
        self.interactive_arrived = -math.inf
        self._max_batch_rows = max_batch_rows
        self._mean_rows = self._mean_seconds = 0.0  # of the last runs

    def note(self, rows: int, seconds: float) -> None:
        """Count a run."""
        self._mean_rows += (rows - self._mean_rows) / _RUNS_REMEMBERED
        self._mean_seconds += (seconds - self._mean_seconds) / _RUNS_REMEMBERED

    def row_seconds(self) -> float:
        """Time that a row took of late; 0 where nothing has run."""
        return self._mean_seconds / self._mean_rows if self._mean_rows else 0.0

    def max_bulk_rows(self, now: float) -> int:
        """Most bulk rows of a batch: fewer while interactive requests arrive."""
        row_seconds = self.row_seconds()
        if not row_seconds or now - self.interactive_arrived > _INTERACTIVE_SECONDS:
            return self._max_batch_rows
        return min(self._max_batch_rows, max(_LEAST_BULK_ROWS, int(_BULK_SECONDS / row_seconds)))
