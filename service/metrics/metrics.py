"""All metrics of a server. Each object has its own registry, so that several servers can run in one process.

Each metric has one reporter, so that nothing is counted twice:

    the batcher       rows, waits, runs, and the rejections overload, deadline, cancelled and draining
    rpc/calls.py      each request once, and the rejections invalid, unread, unauthenticated, forbidden, quota, and
                      overload before the batcher
    the registry      loads and readiness
    a loaded model    its provider

The series of a version stay for 15 minutes after it was retired, or after the last request that still ended on it.
By then every Prometheus has scraped the last count, and the rates in the alert rules, over 5 minutes, are zero. A
scrape removes the series; there is no timer. Of the cold versions, which were closed and are loaded again by a call,
only the last 100 keep theirs. Otherwise a server of ten thousand models would soon show the series of all.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from service.metrics.access_metrics import AccessMetrics
from service.metrics.exposition import (
    ModelSeries,
    VersionSeries,
    build_info,
    families,
    ready_of,
    repository_seen,
    traces,
)
from service.metrics.model_metrics import ModelMetrics, Rejection
from service.metrics.reload_metrics import ReloadMetrics

__all__ = ["Metrics", "ModelMetrics", "Rejection"]

_KEPT_SECONDS = 15 * 60
_MOST_COLD_KEPT = 100


class Metrics(Collector):
    """All metrics of one server.

    Requests are counted in the :class:`ModelMetrics` of their model. A scrape turns the counts into metrics.

    Args:
        registry: Registers this collector, and the process and platform collectors; None makes a new one.
        clock: Monotonic seconds.

    Attributes:
        access: The metrics of tokens, certificates and the access log.
        reloads: The metrics of the settings file.
    """

    def __init__(self, registry: CollectorRegistry | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._clock = clock
        # Held to add, retire or remove a version. A version in use is found without the lock.
        self._changing = threading.Lock()
        self._versions: dict[tuple[str, str], VersionSeries] = {}
        self._models: dict[str, ModelSeries] = {}
        self._cold: set[tuple[str, str]] = set()
        # Cold versions whose series are kept, and when each was retired, oldest first. Some have been loaded since.
        self._cooled: deque[tuple[tuple[str, str], float]] = deque()
        self._repository_seen, self._build_info = repository_seen(), build_info()
        self.access, self.reloads = AccessMetrics(), ReloadMetrics()
        self._traces: Counter[str] = Counter()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All metrics at this moment. Any thread may call it."""
        self._remove_retired()
        with self._changing:  # together, so that no version that changes meanwhile is missing
            versions, models = list(self._versions.items()), dict(self._models)
            ready = dict.fromkeys(self._cold, True) | ready_of(versions)
        yield from families(versions, models, dict(sorted(ready.items())))
        yield from self._repository_seen.collect()
        yield traces(self._traces)
        yield from self._build_info.collect()
        yield from self.reloads.collect()
        yield from self.access.collect()

    def describe(self) -> Iterable[Metric]:
        """The same as `collect`: the registry reads the names of metrics from it."""
        return self.collect()

    def model(self, name: str, version: str) -> ModelMetrics:
        """The metrics of one model version, bound to its labels. Call it again for each request, in any thread.

        The series of a version that is not ready are removed 15 minutes after the last call.

        Args:
            name: A model in the repository, or "" for a request with an unknown name: made-up names would fill
                Prometheus.
            version: Its version as text, or "".
        """
        series = self._versions.get((name, version))
        if series is None or series.retired_at is not None:
            with self._changing:
                series = self._series(name, version)
                if series.retired_at is not None:
                    series.retired_at = self._clock()
        return series.counts

    def build_info(self, *, version: str, onnxruntime: str) -> None:
        """Set the versions of this package and of onnxruntime."""
        self._build_info.labels(version, onnxruntime).set(1)

    def traces_ended(self, result: str, count: int) -> None:
        """Count traces by what became of them. No two threads may count the same result.

        Args:
            result: "sent", "queue_full" or "failed".
            count: Number of traces.
        """
        self._traces[result] += count

    def repository_seen(self) -> None:
        """Report a scan of the repository in which all wanted versions could be read."""
        self._repository_seen.set_to_current_time()

    def model_ready(self, name: str, version: int, *, ready: bool, owner: object = None) -> None:
        """Report whether a version answers. Its series stay until it is retired.

        Args:
            name: The model.
            version: Its version.
            ready: Whether it answers.
            owner: The object that answers, such as a LiveModel. A version may be loaded again while an older object of
                it is still closing. So only the owner that was last ready may report "not ready". None stands for
                every owner.
        """
        with self._changing:
            series = self._series(name, str(version))
            if ready:
                series.owner = owner
            elif owner is not None and owner is not series.owner:
                return
            series.ready, series.retired_at = ready, None
            self._cold.discard((name, str(version)))

    def model_cold(self, name: str, version: int) -> None:
        """Report a version that the next call loads: it is ready, and has no series but that until it is loaded."""
        with self._changing:
            self._cold.add((name, str(version)))
            series = self._versions.get((name, str(version)))
            if series is not None and series.ready is False:
                series.ready, series.owner, series.retired_at = None, None, self._clock()

    def model_loaded(self, name: str, seconds: float) -> None:
        """Count a load and its duration in seconds."""
        # This also creates the counter of swaps with the value 0, so that rate() sees the first swap.
        self._of_model(name).load_seconds.note(seconds)

    def model_retired(self, name: str, version: int, owner: object = None) -> None:
        """Report that a version was closed, or is no longer wanted. Its readiness ends at once, its counts stay.

        A second call changes nothing: the 15 minutes begin with the first one.

        Args:
            name: The model.
            version: Its version.
            owner: As for `model_ready`. If another object has been ready since, nothing is retired. None stands for
                every owner.
        """
        with self._changing:
            if owner is None:
                self._cold.discard((name, str(version)))
            series = self._versions.get((name, str(version)))
            if series is None or series.retired_at is not None or (owner is not None and owner is not series.owner):
                return
            series.ready, series.owner, series.retired_at = None, None, self._clock()
            if (name, str(version)) in self._cold:
                self._cooled.append(((name, str(version)), series.retired_at))
                self._remove_cooled()

    def model_swapped(self, name: str) -> None:
        """Count a swap: another version took over."""
        self._of_model(name).swaps += 1

    def model_refused(self, name: str, version: int, kind: str) -> None:
        """Count a refusal; `kind` is that of ModelRefused."""
        with self._changing:
            series = self._series(name, str(version))
            series.refused[kind] += 1
            self._cold.discard((name, str(version)))
            series.ready, series.owner, series.retired_at = False, None, None

    def _series(self, name: str, version: str) -> VersionSeries:
        """The series of a version. New series count as retired until the version is ready, except those of no model."""
        series = self._versions.get((name, version))
        if series is None:
            counts = self._new_counts(name, version, lambda: self._batcher_died(name, version))
            series = VersionSeries(counts, retired_at=self._clock() if name else None)
            self._versions[name, version] = series
        return series

    def _of_model(self, name: str) -> ModelSeries:
        with self._changing:
            if name not in self._models:
                self._models[name] = self._new_model(name)
            return self._models[name]

    def _new_counts(self, _name: str, _version: str, died: Callable[[], None]) -> ModelMetrics:
        return ModelMetrics(died)

    def _new_model(self, _name: str) -> ModelSeries:
        return ModelSeries()

    def _forget(self, counts: ModelMetrics) -> None:
        """Is called with counts that no scrape will show any more."""

    def _batcher_died(self, name: str, version: str) -> None:
        """Show a version as not ready, unless it is retired already."""
        with self._changing:
            series = self._versions.get((name, version))
            if series is not None and series.ready:
                series.ready = False

    def _remove_retired(self) -> None:
        """Forget versions that were retired 15 minutes ago, and models without any version left."""
        with self._changing:
            before = self._clock() - _KEPT_SECONDS
            gone = [
                key
                for key, series in self._versions.items()
                if series.retired_at is not None and series.retired_at <= before
            ]
            self._remove(gone)

    def _remove_cooled(self) -> None:
        """Forget the series of all but the last of the cold versions.

        The series of a version that is being loaded again stay: its model counts in them already.
        """
        gone = [self._cooled.popleft() for _ in range(len(self._cooled) - _MOST_COLD_KEPT)]
        self._remove([key for key, at in gone if key in self._versions and self._versions[key].retired_at == at])

    def _remove(self, gone: Collection[tuple[str, str]]) -> None:
        for key in gone:
            self._forget(self._versions.pop(key).counts)
        left = {name for name, _ in self._versions}
        for name in {name for name, _ in gone} - left:
            self._models.pop(name, None)
