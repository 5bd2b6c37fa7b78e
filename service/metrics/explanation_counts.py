"""The counts of the runs of attribution.onnx of one model version. They are apart from those of predictions."""

from collections.abc import Callable

from service.metrics.bucket_counts import BucketCounts


class ExplanationCounts:
    """Counts the rows and runs of one version's explanations, a BatchObserver. Any thread may read them.

    Args:
        run_seconds: Gets the durations of runs.
        rejected: Counts a rejected request, by its reason.

    Attributes:
        rows: Rows that were explained.
        run_seconds: Durations of runs.
        traced: Keeps the trace of a run.
    """

    def __init__(self, run_seconds: BucketCounts, rejected: Callable[..., None]) -> None:
        self.rows = 0
        self.run_seconds = run_seconds
        self.rejected = rejected
        self.traced = self.run_seconds.traced

    def accepted(self, rows: int) -> None:
        """Nothing: kan_request_rows is about predictions."""

    def queued(self, rows: int) -> None:
        """Nothing: kan_queue_rows is about predictions."""

    def waited(self, seconds: float) -> None:
        """Nothing: kan_queue_duration_seconds is about predictions."""

    def ran(self, rows: int, seconds: float) -> None:
        """Count one run, with its rows and its duration."""
        self.rows += rows
        self.run_seconds.note(seconds)

    def placed(self, *, inline: bool) -> None:
        """Nothing: kan_model_inline is about predictions."""

    def died(self) -> None:
        """Nothing: the version goes on predicting, and the log has the error."""
