"""What one loaded model tells of its runs, in the metrics of its version.

A version may be loaded again while an older model of it still answers its last requests. Both count requests and runs
together, but only the newer one says whether the version answers and where it runs.
"""

from service.metrics.model_metrics import ModelMetrics


class ModelObserver:
    """The BatchObserver of one loaded model. Used on one event loop.

    Args:
        metrics: Those of its version.

    Attributes:
        metrics: As given.
        accepted, waited, ran, traced, rejected: As those of the metrics, with no call between.
    """

    def __init__(self, metrics: ModelMetrics) -> None:
        self.metrics = metrics
        self.accepted, self.waited = metrics.accepted, metrics.waited
        self.ran, self.traced, self.rejected = metrics.ran, metrics.traced, metrics.rejected
        self._queue_rows = 0
        self._has_left = False

    def queued(self, rows: int) -> None:
        """Set the number of this model's rows that wait now; the version's are the sum over its models."""
        self.metrics.queue_rows += rows - self._queue_rows
        self._queue_rows = rows

    def placed(self, *, inline: bool) -> None:
        """Set whether runs are on the event loop or in a thread."""
        if not self._has_left:
            self.metrics.placed(inline=inline)

    def died(self) -> None:
        """Report that the version cannot answer any more."""
        if not self._has_left:
            self.metrics.died()

    def leave(self) -> None:
        """Say no more of the version from now on: another model has its place, or none."""
        self._has_left = True
