"""The numbers of several workers as the counts of one version or model."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest
from service.metrics.bucket_counts import BucketCounts, Snapshot
from service.metrics.drift.cells import Counted, Counts, Rows
from service.metrics.drift.served_rows import LEAST_ROWS, CountedRows, ServedRows
from service.metrics.exposition import ModelSeries, VersionSeries
from service.metrics.model_metrics import ROWS, SECONDS, ModelMetrics
from service.metrics.shared.cells import TOTAL, Place

Numbers = dict[Place, float]

# How a gauge of several workers becomes one. A version is ready if it is so in every worker that takes calls; to others
# it is only known (`without_calls`). A version is inline if it is so in every worker. A file is valid if it is so for
# every worker. The repository was seen at the time at which every worker had seen it. Of several certificates the
# earliest end counts.
_GAUGES: Mapping[str, Callable[[float, float], float]] = {
    "ready": min,
    "known": min,
    "takes_calls": max,
    "inline": min,
    "file_valid": min,
    "certificate_ends": min,
    "seen": min,
    "build": max,
    "provider": max,
    "batch_limit_rows": max,
    "expected": max,
    "queue_rows": float.__add__,
    "queue_limit_rows": float.__add__,
    "latest": float.__add__,
}


def is_gauge(path: Place) -> bool:
    """Whether a number ends with its worker. All others only grow."""
    return path[0] == "now"


def merge(workers: Iterable[Numbers]) -> Numbers:
    """The numbers of several workers as one: counts are added, gauges as their meaning asks for."""
    merged: Numbers = {}
    for numbers in workers:
        for path, number in numbers.items():
            if path == ("now", "ready") and number < 0:  # this worker does not say
                continue
            if path in merged:
                join = _GAUGES[str(path[1])] if is_gauge(path) else float.__add__
                merged[path] = join(merged[path], number)
            else:
                merged[path] = number
    return merged


def without_calls(numbers: Numbers) -> Numbers:
    """The numbers of a version in a worker that takes no calls: that worker knows the version, and nobody asks it."""
    found = dict(numbers)
    if found.pop(("now", "ready"), -1) >= 0:
        found["now", "known"] = 0
    return found


def version_series(numbers: Numbers) -> VersionSeries:
    """The series of a version with these numbers."""
    counts = ModelMetrics(died=lambda: None)
    for buckets, bounds, name in (
        (counts.queue_seconds, SECONDS, "queue_seconds"),
        (counts.compute_seconds, SECONDS, "compute_seconds"),
        (counts.request_rows, ROWS, "request_rows"),
        (counts.explanations.run_seconds, SECONDS, "explain_seconds"),
    ):
        buckets.add(_snapshot(numbers, bounds, name))
    ready = numbers.get(("now", "ready"), numbers.get(("now", "known")))
    series = VersionSeries(counts, None if ready is None else bool(ready))
    for path, number in numbers.items():
        match path:
            case ("answered", str(protocol), str(code), bool(inference), _):
                key = (protocol, code, inference)
                if key not in counts.answered:
                    counts.answered[key] = BucketCounts(SECONDS)
                    counts.answered[key].add(_snapshot(numbers, SECONDS, "answered", *key))
            case ("batches", int(rows)):
                counts.ran_before(rows, int(number))
            case ("rejections", str(reason)):
                counts.rejections[reason] = int(number)
            case ("refused", str(kind)):
                series.refused[kind] = int(number)
            case ("now", "provider", str(provider)):
                counts.provider = provider
            case ("now", "inline"):
                counts.placed(inline=bool(number))
    counts.explanations.rows = int(numbers.get(("explained_rows",), 0))
    counts.queue_rows = int(numbers.get(("now", "queue_rows"), 0))
    if ("now", "queue_limit_rows") in numbers:
        counts.limits(
            batch_rows=int(numbers["now", "batch_limit_rows"]), queue_rows=int(numbers["now", "queue_limit_rows"])
        )
    if any(path[0] == "served" for path in numbers):
        counts.served = _MergedRows(numbers)
    return series


def model_series(name: str, numbers: Numbers) -> ModelSeries:
    """The series of a model, from the numbers of whole workers."""
    series = ModelSeries(swaps=int(numbers.get(("swaps", name), 0)))
    series.load_seconds.add(_snapshot(numbers, SECONDS, "load_seconds", name))
    return series


def _snapshot(numbers: Numbers, bounds: Sequence[float], *path: str | bool) -> Snapshot:
    counts = [int(numbers.get((*path, place), 0)) for place in range(len(bounds) + 1)]
    totals = [numbers.get((*path, place, TOTAL), 0.0) for place in range(len(bounds) + 1)]
    return Snapshot(np.array(counts, np.int64), sum(totals))


class _MergedRows(ServedRows):
    """The rows and answers of a version by cell, as those of ServedRows."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__(lambda: ((), ()), 1, ModelManifest())
        self._numbers = numbers

    def read(self) -> tuple[list[CountedRows], list[CountedRows]]:
        """The counts of the columns, and those of the answers."""
        return self._of("column"), self._of("output")

    def _of(self, kind: str) -> list[CountedRows]:
        labels: dict[str, list[str]] = {}
        for path in self._numbers:
            if path[:2] == ("served", kind):
                labels.setdefault(str(path[2]), []).append(str(path[3]))
        return [self._counted(kind, name, tuple(cells)) for name, cells in labels.items()]

    def _counted(self, kind: str, name: str, labels: tuple[str, ...]) -> CountedRows:
        expected = [self._numbers.get(("now", "expected", kind, name, label)) for label in labels]
        shares = None if None in expected else np.array(expected, np.float64)
        latest = np.array([self._numbers.get(("now", "latest", kind, name, label), 0) for label in labels], np.int64)
        rows = np.array([self._numbers["served", kind, name, label] for label in labels], np.int64)
        counted = Counted(name, labels, shares, _count_elsewhere)
        return CountedRows.of(counted, rows, latest if latest.sum() >= LEAST_ROWS else None)


def _count_elsewhere(_rows: Rows) -> Counts:
    raise RuntimeError("the parent was given rows to count; workers count them")
