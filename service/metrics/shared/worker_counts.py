"""The counts of one model version in a worker process: as those of a single process, and written into its cells."""

from bisect import bisect_left
from collections.abc import Callable

from service.metrics.bucket_counts import BucketCounts
from service.metrics.explanation_counts import ExplanationCounts
from service.metrics.model_metrics import SECONDS, ModelMetrics, Rejection
from service.metrics.shared.cells import Cells, key


class SharedBucketCounts(BucketCounts):
    """Counts in buckets that are written at once. One thread at a time may record; any thread may read.

    Args:
        cells: Get the counts.
        bounds: As those of BucketCounts.
        path: The path of the counts.
    """

    __slots__ = ("_ascending", "_cells", "_names", "_total_name")

    def __init__(self, cells: Cells, bounds: tuple[float, ...], *path: str | bool) -> None:
        super().__init__(bounds)
        self.keep = self.note
        self._ascending = bounds
        self._cells = cells
        self._names = [key(*path, place) for place in range(len(bounds) + 1)]
        self._total_name = key(*path, "total")

    def note(self, number: float) -> None:
        """Record a number."""
        place = bisect_left(self._ascending, number)
        count = int(self._counts[place]) + 1
        self._counts[place] = count
        self._total += number
        self._cells.write(self._names[place], count)
        self._cells.write(self._total_name, self._total)


class SharedExplanationCounts(ExplanationCounts):
    """The counts of the runs of attribution.onnx, written into cells."""

    def __init__(self, cells: Cells, rejected: Callable[..., None]) -> None:
        super().__init__(SharedBucketCounts(cells, SECONDS, "explain_seconds"), rejected)
        self._cells = cells

    def ran(self, rows: int, seconds: float) -> None:
        """Count one run, with its rows and its duration."""
        super().ran(rows, seconds)
        self._cells.write(key("explained_rows"), self.rows)


class SharedModelMetrics(ModelMetrics):
    """The counts of one model version, written into cells.

    Args:
        died: As that of ModelMetrics.
        cells: Get the counts.
    """

    def __init__(self, died: Callable[[], None], cells: Cells) -> None:
        super().__init__(died, lambda bounds, *path: SharedBucketCounts(cells, bounds, *path))
        self.cells = cells
        self.explanations = SharedExplanationCounts(cells, self.rejected)
        self._queue_rows_name = key("now", "queue_rows")
        self._batch_names: dict[int, str] = {}

    def queued(self, rows: int) -> None:
        """Set the number of rows that wait now."""
        super().queued(rows)
        self.cells.write(self._queue_rows_name, rows)

    def ran(self, rows: int, seconds: float) -> None:
        """Count one run of the model, with its rows and its duration."""
        super().ran(rows, seconds)
        name = self._batch_names.get(rows)
        if name is None:
            name = self._batch_names[rows] = key("batches", rows)
        self.cells.write(name, self._batches[rows].count)

    def rejected(self, reason: Rejection) -> None:
        """Count a rejected request."""
        super().rejected(reason)
        self.cells.write(key("rejections", reason), self.rejections[reason])

    def write_served(self) -> None:
        """Write the counts of rows and answers by cell. A kill loses those since the last call."""
        if self.served is None:
            return
        for kind, counted in zip(("column", "output"), self.served.read(), strict=True):
            for each in counted:
                expected = each.counted.expected
                for place, label in enumerate(each.counted.labels):
                    path = (kind, each.counted.name, label)
                    self.cells.write(key("served", *path), int(each.rows[place]))
                    if each.latest is not None:
                        self.cells.write(key("now", "latest", *path), int(each.latest[place]))
                    if expected is not None:
                        self.cells.write(key("now", "expected", *path), float(expected[place]))
