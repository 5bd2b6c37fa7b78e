"""What one model version counts while it answers: as little work as can be, since every request pays for it."""

import time
from collections.abc import Callable
from typing import Literal

from service.metrics.bucket_counts import BucketCounts, Snapshot, sorted_into
from service.metrics.statistics import Duration, Statistics

Rejection = Literal["overload", "deadline", "cancelled", "draining", "invalid", "unread"]

_REJECTIONS: tuple[Rejection, ...] = ("overload", "deadline", "cancelled", "draining", "invalid", "unread")
SECONDS = (
    25e-6,
    50e-6,
    100e-6,
    250e-6,
    500e-6,
    1e-3,
    2.5e-3,
    5e-3,
    10e-3,
    25e-3,
    50e-3,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
ROWS = tuple(float(2**exponent) for exponent in range(13))


class ModelMetrics:
    """Counts of one model version. It is a batcher's BatchObserver. Told on one event loop, read in any thread.

    Args:
        died: Called once the version does not answer any more.

    Attributes:
        answered: Seconds of answered requests, by protocol, name of the status code and whether it was for inference.
        queue_seconds: Requests' waits for their first run.
        compute_seconds: Of runs.
        request_rows: Of accepted requests.
        queue_rows: Rows that wait now.
        batch_limit_rows, queue_limit_rows: Most rows that a run takes and that may wait; None where nothing runs.
        rejections: Requests turned away, by reason.
        provider: Where its runs are made, such as "cpu"; None where nothing runs.
    """

    def __init__(self, died: Callable[[], None]) -> None:
        self.answered: dict[tuple[str, str, bool], BucketCounts] = {}
        self.queue_seconds = BucketCounts(SECONDS)
        self.compute_seconds = BucketCounts(SECONDS)
        self.request_rows = BucketCounts(ROWS)
        self.queue_rows = 0
        self.batch_limit_rows: int | None = None
        self.queue_limit_rows: int | None = None
        self.rejections = dict.fromkeys(_REJECTIONS, 0)
        self.provider: str | None = None
        self._died = died
        self._compute = Duration()
        self._batches: dict[int, Duration] = {}
        self._last_run_seconds = 0.0

    def limits(self, *, batch_rows: int, queue_rows: int) -> None:
        """Say how many rows a run takes at most, and how many may wait."""
        self.batch_limit_rows, self.queue_limit_rows = batch_rows, queue_rows

    def request(self, protocol: str, code: str, seconds: float, compute_seconds: float | None = None) -> None:
        """Count one answered request.

        Args:
            protocol: "kan_api", "open_inference", …
            code: Name of the status code, such as "OK".
            seconds: Time from arrival to answer.
            compute_seconds: Time of the runs that it was part of; None where it was no request for inference.
        """
        key = (protocol, code, compute_seconds is not None)
        tally = self.answered.get(key)
        if tally is None:
            tally = self.answered[key] = BucketCounts(SECONDS)
        tally.note(seconds)
        if compute_seconds is not None and code == "OK":
            self._compute.add(compute_seconds)

    def accepted(self, rows: int) -> None:
        """Count a request that was taken into the queue, with its rows."""
        self.request_rows.note(rows)

    def queued(self, rows: int) -> None:
        """Say how many rows wait now."""
        self.queue_rows = rows

    def waited(self, seconds: float) -> None:
        """Say how long a request waited before its first run."""
        self.queue_seconds.note(seconds)

    def ran(self, rows: int, seconds: float) -> None:
        """Count one run of the model, with its rows and its time."""
        self.compute_seconds.note(seconds)
        batch = self._batches.get(rows)
        if batch is None:
            batch = self._batches[rows] = Duration()
        batch.add(seconds)
        self._last_run_seconds = time.time()

    def rejected(self, reason: Rejection) -> None:
        """Count a request that was turned away."""
        self.rejections[reason] += 1

    def died(self) -> None:
        """Say that this version does not answer any more."""
        self._died()

    def batch_rows(self) -> Snapshot:
        """Rows of runs."""
        batches = list(self._batches.items())  # at one blow: the event loop adds to it meanwhile
        return sorted_into(ROWS, [rows for rows, _ in batches], [runs.count for _, runs in batches])

    def statistics(self) -> Statistics:
        """The same in exact sums, for who asks over the Open Inference Protocol; on the event loop."""
        success, fail = Duration(), Duration()
        for (_, code, inference), tally in self.answered.items():
            if inference:
                reading = tally.read()
                (success if code == "OK" else fail).add(reading.total, reading.count)
        queue = self.queue_seconds.read()
        return Statistics(
            success=success,
            fail=fail,
            queue=Duration(queue.count, queue.total),
            compute=self._compute,
            batches=self._batches,
            last_run_seconds=self._last_run_seconds,
        )
