"""The counts of one model version in a worker process: as those of a single process, and written into its cells."""

from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest
from service.metrics.bucket_counts import BucketCounts, Snapshot
from service.metrics.drift.served_rows import ServedRows
from service.metrics.explanation_counts import ExplanationCounts
from service.metrics.model_metrics import SECONDS, ModelMetrics, Rejection
from service.metrics.shared.cells import Cells, key


class SharedBucketCounts(BucketCounts):
    """Counts in buckets that are written at once. One thread at a time may record; any thread may read.

    Args:
        cells: Get the count and the total of each bucket, in one write.
        bounds: As those of BucketCounts.
        path: The path of the counts.
    """

    __slots__ = ("_in_buckets", "_names", "_totals", "_write")

    def __init__(self, cells: Cells, bounds: tuple[float, ...], *path: str | bool) -> None:
        super().__init__(bounds)
        self.keep = self.note
        self._in_buckets = [0] * (len(bounds) + 1)
        self._totals = [0.0] * (len(bounds) + 1)
        self._names = [key(*path, place) for place in range(len(bounds) + 1)]
        self._write = cells.write

    def note(self, number: float) -> None:
        """Record a number."""
        place = bisect_left(self._ascending, number)
        self._in_buckets[place] += 1
        self._totals[place] += number
        self._write(self._names[place], self._in_buckets[place], self._totals[place])

    def traced(self, number: float, trace_id: str) -> None:
        """Keep nothing: cells hold no exemplars."""

    def read(self) -> Snapshot:
        """All numbers recorded so far."""
        return Snapshot(np.array(self._in_buckets, np.int64), sum(self._totals))


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
        self._batch_names: dict[int, str] = {}

    def served_by(self, manifest: ModelManifest) -> ServedRows | None:
        """As that of ModelMetrics. The cells are built at once, in the thread of the load, because `flush` needs them.

        It is called on the event loop twice a second.
        """
        served = super().served_by(manifest)
        if served is not None:
            served.read()
        return served

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

    def placed(self, *, inline: bool) -> None:
        """Set whether runs are on the event loop or in a thread."""
        super().placed(inline=inline)
        self.cells.write(key("now", "inline"), inline)

    def flush(self) -> None:
        """Write what is not written at once: rows that wait, and the counts of rows and answers by cell.

        A kill loses the counts by cell since the last call.
        """
        self.cells.write(key("now", "queue_rows"), self.queue_rows)
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
