"""What Prometheus sees. One registry an object, so that several servers can live in one process.

Who counts what, so that nothing counts twice: the batcher reports everything about rows, waiting, runs and the
rejections overload, deadline, cancelled and draining; rpc/calls.py reports each request once and the rejection invalid;
the registry reports loading and readiness; a loaded model says where it runs.

The series of a version stay for 15 minutes after it was retired, or after the last request that still ended on it.
By then every Prometheus has scraped its last count, and the rules' rates, which reach back 5 minutes, are at zero.
The series are removed when somebody scrapes: no timer runs.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from service.metrics.exposition import ModelSeries, VersionSeries, families
from service.metrics.model_metrics import ModelMetrics

__all__ = ["Metrics", "ModelMetrics"]

_KEPT_SECONDS = 15 * 60


class Metrics(Collector):
    """All metrics of one server.

    What every request counts is in the models' :class:`ModelMetrics`, and made into metrics when somebody looks.

    Args:
        registry: Where they are registered; a new one when left out. Also gets the process and platform collectors.
        clock: Seconds, monotonic.
    """

    def __init__(self, registry: CollectorRegistry | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._clock = clock
        # Of who adds, retires and removes; a version in use is found without it.
        self._changing = threading.Lock()
        self._versions: dict[tuple[str, str], VersionSeries] = {}
        self._models: dict[str, ModelSeries] = {}
        self._repository_seen = Gauge(
            "kan_repository_seen_timestamp_seconds",
            "Unix time of the last look at the model repository that met no trouble; 0 before the first.",
            registry=None,
        )
        self._build_info = Gauge("kan_build_info", "Always 1; what runs.", ("version", "onnxruntime"), registry=None)
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Every metric as it is now; in any thread."""
        self._remove_retired()
        yield from families(list(self._versions.items()), dict(self._models))
        yield from self._repository_seen.collect()
        yield from self._build_info.collect()

    def describe(self) -> Iterable[Metric]:
        """The same: a registry asks for names, before anything is counted."""
        return self.collect()

    def model(self, name: str, version: str) -> ModelMetrics:
        """The metrics of one model version, bound to its labels. Ask again for each request, in any thread.

        Where the version is not said to be ready, its series go 15 minutes after somebody has asked last.

        Args:
            name: A model that is in the repository, or "" where the caller named none that is: names made up by
                callers would fill Prometheus.
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
        """Say what is running: our version and onnxruntime's."""
        self._build_info.labels(version, onnxruntime).set(1)

    def repository_seen(self) -> None:
        """Say that the repository was looked at, and all that was wanted of it could be read."""
        self._repository_seen.set_to_current_time()

    def model_ready(self, name: str, version: int, *, ready: bool, owner: object = None) -> None:
        """Say whether a version answers. Its series stay until it is retired.

        Args:
            name: The model.
            version: Its version.
            ready: True where it answers.
            owner: The object that answers, such as a LiveModel. A version may be loaded again while an older object
                of it still ends: the newest owner that is ready counts, and an older one says nothing more.
                None speaks for every owner.
        """
        with self._changing:
            series = self._series(name, str(version))
            if ready:
                series.owner = owner
            elif owner is not None and owner is not series.owner:
                return
            series.ready, series.retired_at = ready, None

    def model_loaded(self, name: str, seconds: float) -> None:
        """Count a version that was loaded, with the time it took in seconds."""
        # From the start its swaps are at zero: the first one then shows as a rate.
        self._of_model(name).load_seconds.note(seconds)

    def model_retired(self, name: str, version: int, owner: object = None) -> None:
        """Say that a version is gone, or wanted no longer. Whether it answers is shown no longer; its counts stay on.

        Said again it changes nothing: the 15 minutes begin at the first time.

        Args:
            name: The model.
            version: Its version.
            owner: As `model_ready` was told: where another object has been ready since, nothing is retired.
                None speaks for every owner.
        """
        with self._changing:
            series = self._versions.get((name, str(version)))
            if series is None or series.retired_at is not None or (owner is not None and owner is not series.owner):
                return
            series.ready, series.owner, series.retired_at = None, None, self._clock()

    def model_swapped(self, name: str) -> None:
        """Count another version that took over."""
        self._of_model(name).swaps += 1

    def model_refused(self, name: str, version: int, kind: str) -> None:
        """Count a version that was refused; kind is one word out of few."""
        with self._changing:
            series = self._series(name, str(version))
            series.refused[kind] += 1
            series.ready, series.owner, series.retired_at = False, None, None

    def _series(self, name: str, version: str) -> VersionSeries:
        """Those of a version; new ones are retired until somebody says that it is ready, but for those of no model."""
        series = self._versions.get((name, version))
        if series is None:
            counts = ModelMetrics(died=lambda: self._died(name, version))
            series = VersionSeries(counts, retired_at=self._clock() if name else None)
            self._versions[name, version] = series
        return series

    def _of_model(self, name: str) -> ModelSeries:
        with self._changing:
            return self._models.setdefault(name, ModelSeries())

    def _died(self, name: str, version: str) -> None:
        """A version that is retired already does not come back by it."""
        with self._changing:
            series = self._versions.get((name, version))
            if series is not None and series.ready:
                series.ready = False

    def _remove_retired(self) -> None:
        """Forget versions that were retired long ago, and models of which no version is left."""
        with self._changing:
            before = self._clock() - _KEPT_SECONDS
            gone = [
                key
                for key, series in self._versions.items()
                if series.retired_at is not None and series.retired_at <= before
            ]
            for key in gone:
                del self._versions[key]
            left = {name for name, _ in self._versions}
            for name in {name for name, _ in gone} - left:
                self._models.pop(name, None)
