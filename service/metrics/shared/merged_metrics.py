"""The metrics of all workers as one exposition, in the process that watches them."""

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, PlatformCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from service.metrics.access_metrics import access_families
from service.metrics.exposition import build_info, families, ready_of, repository_seen, traces
from service.metrics.reload_metrics import ReloadMetrics
from service.metrics.shared.cells import read
from service.metrics.shared.merged_counts import (
    Numbers,
    is_gauge,
    merge,
    model_series,
    version_series,
    without_calls,
)

# As long as a single process shows a version after its end.
_KEPT_SECONDS = 15 * 60

Version = tuple[str, str]


class MergedMetrics(Collector):
    """The metrics of all workers, those that ended among them.

    Args:
        folder: Holds one folder a worker, each written by :class:`service.metrics.shared.worker_metrics.WorkerMetrics`.
        clock: Monotonic seconds.

    Attributes:
        registry: Registers this collector and the platform collector.
        folder: As given.
        reloads: The metrics of the settings file, which only this process reads again.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self.folder = folder
        self.reloads = ReloadMetrics()
        self._clock = clock
        self._reading = threading.Lock()  # a scrape must see a worker that ends either in its folder or among the ended
        self._ended_workers: Numbers = {}
        self._ended: dict[Version, Numbers] = {}
        self._seen_at: dict[Version, float] = {}
        PlatformCollector(registry=self.registry)
        self.registry.register(self)

    def end(self, folder: Path) -> None:
        """Keep the counts of a worker that ended, and remove its folder."""
        with self._reading:
            worker, versions = _read(folder)
            self._ended_workers = merge([self._ended_workers, _counts(worker)])
            for version, numbers in versions.items():
                self._ended[version] = merge([self._ended.get(version, {}), _counts(numbers)])
            shutil.rmtree(folder, ignore_errors=True)

    def collect(self) -> Iterator[Metric]:
        """All metrics at this moment. Any thread may call it."""
        with self._reading:
            live = [_read(folder) for folder in self.folder.iterdir() if folder.is_dir()]
            self._forget({version for _, versions in live for version in versions})
            of_versions = {
                version: merge([self._ended.get(version, {}), *(each.get(version, {}) for _, each in live)])
                for version in sorted(self._seen_at)
            }
            worker = merge([self._ended_workers, *(numbers for numbers, _ in live)])
        series = [(version, version_series(numbers)) for version, numbers in of_versions.items()]
        names = {name for name, _ in of_versions if name}
        loaded = sorted(names & {str(path[1]) for path in worker if path[0] == "swaps"})
        yield from families(series, {name: model_series(name, worker) for name in loaded}, ready_of(series))
        yield from _of_workers(worker)
        yield from self.reloads.collect()

    def describe(self) -> Iterable[Metric]:
        """The same as `collect`: the registry reads the names of metrics from it."""
        return self.collect()

    def _forget(self, live: Iterable[Version]) -> None:
        """Forget versions that no worker has had for 15 minutes."""
        now = self._clock()
        self._seen_at.update(dict.fromkeys(self._ended.keys() - self._seen_at.keys(), now))
        self._seen_at.update(dict.fromkeys(live, now))
        for version in [each for each, at in self._seen_at.items() if at <= now - _KEPT_SECONDS and each[0]]:
            del self._seen_at[version]
            self._ended.pop(version, None)


def _of_workers(worker: Numbers) -> Iterator[Metric]:
    """The metrics of whole workers."""
    seen, build = repository_seen(), build_info()
    seen.set(worker.get(("now", "seen"), 0))
    for path in worker:
        if path[:2] == ("now", "build"):
            build.labels(*path[2:]).set(1)
    yield from (*seen.collect(), *build.collect())
    yield traces({str(path[1]): int(number) for path, number in worker.items() if path[0] == "traces"})
    valid = {str(path[2]): bool(number) for path, number in worker.items() if path[:2] == ("now", "file_valid")}
    lost = worker.get(("log_lost",))
    ends = worker.get(("now", "certificate_ends"))
    yield from access_families(valid, ends, None if lost is None else int(lost))


def _read(folder: Path) -> tuple[Numbers, dict[Version, Numbers]]:
    """The numbers of a whole worker, and those of its versions. A version may have two files, an older one retired."""
    worker: Numbers = {}
    versions: dict[Version, Numbers] = {}
    if not folder.exists():  # the worker ended before it made its folder
        return worker, versions
    for file in folder.iterdir():
        numbers = read(file)
        if file.name == "worker":
            worker = numbers
            continue
        for path in numbers:
            if path[0] == "of":
                version = (str(path[1]), str(path[2]))
                versions[version] = merge([versions.get(version, {}), numbers])
                break
    if ("now", "takes_calls") not in worker:
        versions = {version: without_calls(numbers) for version, numbers in versions.items()}
    return worker, versions


def _counts(numbers: Numbers) -> Numbers:
    return {path: number for path, number in numbers.items() if not is_gauge(path)}
