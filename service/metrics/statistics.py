"""What one model version has done since the server started, in sums that only grow.

Source: the statistics extension of Triton's Open Inference Protocol; what is counted is counted as there.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Duration:
    """How often something happened, and how long it took in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count so many more, with the time that they took together."""
        self.count += count
        self.seconds += seconds


@dataclass(frozen=True)
class Statistics:
    """Sums of one model version, as they were when somebody asked.

    Attributes:
        success, fail: Requests for inference that were answered, and that were not, from arrival to answer.
        queue: Requests' time before their first run.
        compute: Answered requests' time in runs; a run of many requests counts for each of them.
        batches: Runs by their number of rows.
        last_run_seconds: When the last run ended, in seconds since 1970; 0 before the first.
    """

    success: Duration
    fail: Duration
    queue: Duration
    compute: Duration
    batches: Mapping[int, Duration]
    last_run_seconds: float

    @property
    def runs(self) -> int:
        """How often the model ran."""
        return sum(batch.count for batch in self.batches.values())

    @property
    def rows(self) -> int:
        """How many rows it computed."""
        return sum(rows * batch.count for rows, batch in self.batches.items())
