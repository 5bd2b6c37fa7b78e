"""Statistics of one model version since the server started, as sums that only grow.

Source: the statistics extension of Triton's Open Inference Protocol, with the same definitions.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Duration:
    """How often something happened, and how long all of it took together."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Add `count` events, and the time that they took together."""
        self.count += count
        self.seconds += seconds


@dataclass(frozen=True)
class Statistics:
    """The sums of one model version at one time.

    Attributes:
        success, fail: Inference requests that succeeded, and that failed, with their time from arrival to answer.
        queue: Time of requests before their first run.
        compute: Time of successful requests in runs. A run of several requests counts for each of them.
        batches: Runs by their number of rows.
        last_run_seconds: End of the last run, in seconds since 1970; 0 before the first.
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
