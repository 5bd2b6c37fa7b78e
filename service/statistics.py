"""What one model version has done since the server started, in sums that only grow.

Source: the statistics extension of Triton's Open Inference Protocol; what is counted is counted as there.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Duration:
    """How often something happened, and how long it took in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.count += 1
        self.seconds += seconds


@dataclass
class Statistics:
    """Sums of one model version. Lives on one event loop.

    Attributes:
        success, fail: Requests for inference that were answered, and that were not, from arrival to answer.
        queue: Requests' time before their first run.
        compute: Answered requests' time in runs; a run of many requests counts for each of them.
        batches: Runs by their number of rows.
        last_run_seconds: When the last run ended, in seconds since 1970; 0 before the first.
    """

    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute: Duration = field(default_factory=Duration)
    batches: defaultdict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))
    last_run_seconds: float = 0.0

    def answered(self, ok: bool, seconds: float, compute_seconds: float) -> None:
        """Count one request for inference, with the time it took and the time of its runs."""
        if ok:
            self.success.add(seconds)
            self.compute.add(compute_seconds)
        else:
            self.fail.add(seconds)

    def ran(self, rows: int, seconds: float) -> None:
        """Count one run of the model, with its rows and its time."""
        self.batches[rows].add(seconds)
        self.last_run_seconds = time.time()

    @property
    def runs(self) -> int:
        """How often the model ran."""
        return sum(batch.count for batch in self.batches.values())

    @property
    def rows(self) -> int:
        """How many rows it computed."""
        return sum(rows * batch.count for rows, batch in self.batches.items())
