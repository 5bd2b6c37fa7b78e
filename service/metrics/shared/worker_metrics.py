"""All metrics of one worker process, written into a folder that the parent process reads."""

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from service.metrics.exposition import ModelSeries
from service.metrics.metrics import Metrics
from service.metrics.model_metrics import SECONDS, ModelMetrics
from service.metrics.shared.cells import Cells, key
from service.metrics.shared.worker_counts import SharedBucketCounts, SharedModelMetrics


class WorkerMetrics(Metrics):
    """The metrics of one worker. A worker has no HTTP port, so nothing scrapes them here.

    Args:
        folder: Is created. It gets one file a version, and one of the whole worker with the name "worker".
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._numbers = count()
        self._worker = Cells(folder / "worker")
        super().__init__()

    def flush(self) -> None:
        """Write what is not written at once, and remove the files of retired versions."""
        self._remove_retired()
        for kind, is_valid in self.access.valid().items():
            self._worker.write(key("now", "file_valid", kind), is_valid)
        if (ends := self.access.certificate_ends()) is not None:
            self._worker.write(key("now", "certificate_ends"), ends)
        if (lost := self.access.lost_lines()) is not None:
            self._worker.write(key("log_lost"), lost)
        for series in list(self._versions.values()):
            if isinstance(series.counts, SharedModelMetrics):
                series.counts.flush()

    def close(self) -> None:
        """Flush, and write nothing more."""
        self.flush()
        self._worker.close()
        for series in list(self._versions.values()):
            if isinstance(series.counts, SharedModelMetrics):
                series.counts.cells.close()

    def build_info(self, *, version: str, onnxruntime: str) -> None:
        """Set the versions of this package and of onnxruntime."""
        super().build_info(version=version, onnxruntime=onnxruntime)
        self._worker.write(key("now", "build", version, onnxruntime), 1)

    def traces_ended(self, result: str, count: int) -> None:
        """Count traces by what became of them. No two threads may count the same result."""
        super().traces_ended(result, count)
        self._worker.write(key("traces", result), self._traces[result])

    def repository_seen(self) -> None:
        """Report a scan of the repository in which all wanted versions could be read."""
        super().repository_seen()
        self._worker.write(key("now", "seen"), time.time())

    def takes_calls(self) -> None:
        """Report that this worker takes calls: from now on its versions answer."""
        self._worker.write(key("now", "takes_calls"), 1)

    def model_ready(self, name: str, version: int, *, ready: bool, owner: object = None) -> None:
        """Report whether a version answers."""
        super().model_ready(name, version, ready=ready, owner=owner)
        self._write_state(name, str(version))

    def model_retired(self, name: str, version: int, owner: object = None) -> None:
        """Report that a version was closed, or is no longer wanted."""
        super().model_retired(name, version, owner)
        self._write_state(name, str(version))

    def model_swapped(self, name: str) -> None:
        """Count a swap: another version took over."""
        super().model_swapped(name)
        self._worker.write(key("swaps", name), self._models[name].swaps)

    def model_refused(self, name: str, version: int, kind: str) -> None:
        """Count a refusal."""
        super().model_refused(name, version, kind)
        self._write_state(name, str(version))

    def _new_counts(self, name: str, version: str, died: Callable[[], None]) -> ModelMetrics:
        cells = Cells(self._folder / str(next(self._numbers)))
        cells.write(key("of", name, version), 0)
        return SharedModelMetrics(died, cells)

    def _new_model(self, name: str) -> ModelSeries:
        self._worker.write(key("swaps", name), 0)
        return ModelSeries(SharedBucketCounts(self._worker, SECONDS, "load_seconds", name))

    def _forget(self, counts: ModelMetrics) -> None:
        if isinstance(counts, SharedModelMetrics):
            counts.cells.remove()

    def _batcher_died(self, name: str, version: str) -> None:
        super()._batcher_died(name, version)
        self._write_state(name, version)

    def _write_state(self, name: str, version: str) -> None:
        """Write what changes with the life of a version. A version without the answer "ready" counts as -1."""
        series = self._versions.get((name, version))
        if series is None or not isinstance(series.counts, SharedModelMetrics):
            return
        counts, cells = series.counts, series.counts.cells
        cells.write(key("now", "ready"), -1 if series.ready is None else series.ready)
        if counts.queue_limit_rows is not None and counts.batch_limit_rows is not None:
            cells.write(key("now", "queue_limit_rows"), counts.queue_limit_rows)
            cells.write(key("now", "batch_limit_rows"), counts.batch_limit_rows)
        if counts.provider is not None:
            cells.write(key("now", "provider", counts.provider), 1)
        for kind, times in list(series.refused.items()):
            cells.write(key("refused", kind), times)
