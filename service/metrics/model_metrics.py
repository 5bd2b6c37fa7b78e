"""The counts of one model version. They cost as little as possible, because every request updates them."""

import time
from collections.abc import Callable
from typing import Literal, get_args

from kan_api.v1.manifest_pb2 import ModelManifest
from service.metrics.bucket_counts import BucketCounts, Snapshot, sorted_into
from service.metrics.drift.served_rows import ServedRows
from service.metrics.explanation_counts import ExplanationCounts
from service.metrics.statistics import Duration, Statistics

Rejection = Literal[
    "overload",
    "deadline",
    "cancelled",
    "draining",
    "invalid",
    "unread",
    "unauthenticated",
    "forbidden",
    "quota",
]
SECONDS = (
    *(25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3),
    *(25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
ROWS = tuple(float(2**exponent) for exponent in range(13))

# Makes the BucketCounts of a path; see `service.metrics.shared`.
NewBuckets = Callable[..., BucketCounts]


def _in_this_process(bounds: tuple[float, ...], *_path: str | bool) -> BucketCounts:
    return BucketCounts(bounds)


class ModelMetrics:
    """Counts of one model version, a BatchObserver. Updated on one event loop; any thread may read them.

    Args:
        died: Is called when the batcher breaks and the version cannot answer any more.
        new_buckets: Makes the counts in buckets, of their bounds and their path.

    Attributes:
        answered: Durations of answered requests, by protocol, name of the status code, and whether it was an inference.
        queue_seconds: Waits of requests for their first run.
        compute_seconds: Durations of runs.
        request_rows: Rows of accepted requests.
        queue_rows: Rows that wait now.
        batch_limit_rows, queue_limit_rows: Most rows of one run, and most rows that may wait; None before a load.
        rejections: Rejected requests, by reason.
        inline: Whether runs are on the event loop, not in a thread; None before a load.
        provider: Device of the runs, such as "cpu"; None before a load.
        explanations: Counts of the runs of attribution.onnx.
        served: Counts the rows and answers of its runs by cell; None if they are not counted.
        accepted: Counts a request that the queue accepted, with its rows.
        waited: Records the wait of a request for its first run, in seconds.
        traced: Keeps the trace of a run, by its seconds.
    """

    def __init__(self, died: Callable[[], None], new_buckets: NewBuckets = _in_this_process) -> None:
        self._new_buckets = new_buckets
        self.answered: dict[tuple[str, str, bool], BucketCounts] = {}
        self.queue_seconds = new_buckets(SECONDS, "queue_seconds")
        self.compute_seconds = new_buckets(SECONDS, "compute_seconds")
        self.request_rows = new_buckets(ROWS, "request_rows")
        # Called before each run, so a bare append; the sorting comes after it.
        self.accepted: Callable[[int], None] = self.request_rows.keep
        self.waited: Callable[[float], None] = self.queue_seconds.keep
        self.traced = self.compute_seconds.traced
        self.queue_rows = 0
        self.batch_limit_rows: int | None = None
        self.queue_limit_rows: int | None = None
        self.rejections = dict.fromkeys(get_args(Rejection), 0)
        self.inline: bool | None = None
        self.provider: str | None = None
        self.explanations = ExplanationCounts(BucketCounts(SECONDS), self.rejected)
        self.served: ServedRows | None = None
        self._died = died
        self._compute = Duration()
        self._batches: dict[int, Duration] = {}
        self._last_run_seconds = 0.0

    def limits(self, *, batch_rows: int, queue_rows: int) -> None:
        """Set the most rows of one run, and the most rows that may wait."""
        self.batch_limit_rows, self.queue_limit_rows = batch_rows, queue_rows

    def served_by(self, manifest: ModelManifest) -> ServedRows | None:
        """Counts of rows and answers by the cells of this manifest; None if nothing is known of them.

        A version that is loaded again with the same manifest keeps its counts. `served` does not change here: the load
        may still fail.
        """
        same = self.served is not None and self.served.manifest == manifest
        return self.served if same else ServedRows.of(manifest)

    def request(self, protocol: str, code: str, seconds: float, compute_seconds: float | None = None) -> BucketCounts:
        """Count one answered request.

        Args:
            protocol: "kan_api", "open_inference", …
            code: Name of the status code, such as "OK".
            seconds: Time from arrival to answer.
            compute_seconds: Duration of the runs that computed its rows; None if it was no inference.

        Returns:
            The histogram that has its duration.
        """
        key = (protocol, code, compute_seconds is not None)
        buckets = self.answered.get(key)
        if buckets is None:
            buckets = self.answered[key] = self._new_buckets(SECONDS, "answered", *key)
        buckets.note(seconds)
        if compute_seconds is not None and code == "OK":
            self._compute.add(compute_seconds)
        elif compute_seconds is not None:  # a failed run has sorted nothing
            self._sort_when_many()
        return buckets

    def queued(self, rows: int) -> None:
        """Set the number of rows that wait now."""
        self.queue_rows = rows

    def ran(self, rows: int, seconds: float) -> None:
        """Count one run of the model, with its rows and its duration."""
        self.compute_seconds.note(seconds)
        batch = self._batches.get(rows)
        if batch is None:
            batch = self._batches[rows] = Duration()
        batch.add(seconds)
        self._last_run_seconds = time.time()
        self._sort_when_many()

    def ran_before(self, rows: int, runs: int) -> None:
        """Count runs that another process counted, without their durations."""
        self._batches.setdefault(rows, Duration()).add(0.0, runs)

    def rejected(self, reason: Rejection) -> None:
        """Count a rejected request."""
        self.rejections[reason] += 1

    def placed(self, *, inline: bool) -> None:
        """Set whether runs are on the event loop or in a thread."""
        self.inline = inline

    def died(self) -> None:
        """Report that this version cannot answer any more."""
        self._died()

    def batch_rows(self) -> Snapshot:
        """The numbers of rows of all runs."""
        batches = list(self._batches.items())  # copied in one step, because the event loop adds items meanwhile
        return sorted_into(ROWS, [rows for rows, _ in batches], [runs.count for _, runs in batches])

    def statistics(self) -> Statistics:
        """The same counts as exact sums, for the Open Inference Protocol. Call it on the event loop."""
        success, fail = Duration(), Duration()
        for (_, code, inference), buckets in self.answered.items():
            if inference:
                snapshot = buckets.read()
                (success if code == "OK" else fail).add(snapshot.total, snapshot.count)
        queue = self.queue_seconds.read()
        return Statistics(
            success=success,
            fail=fail,
            queue=Duration(queue.count, queue.total),
            compute=self._compute,
            batches=self._batches,
            last_run_seconds=self._last_run_seconds,
        )

    def _sort_when_many(self) -> None:
        """Bound what `accepted` and `waited` keep."""
        self.request_rows.sort_when_many()
        self.queue_seconds.sort_when_many()
