"""What Prometheus sees. One registry an object, so that several servers can live in one process.

Who counts what, so that nothing counts twice: the batcher reports everything about rows, waiting, runs and the
rejections overload, deadline, cancelled and draining; rpc.py reports each request once and the rejection invalid;
the registry reports loading and readiness.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service.model_metrics import ROWS, SECONDS, ModelMetrics
from service.tally import Reading

__all__ = ["Metrics", "ModelMetrics"]

_MODEL = ("model", "version")
# There at 0 from the start: rate() does not see the value that a counter is born with, a first burst of failures.
_PROTOCOLS = ("kan_api", "open_inference")
_CODES = ("OK", "INTERNAL", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNKNOWN")


class Metrics(Collector):
    """All metrics of one server.

    What every request counts is in the models' :class:`ModelMetrics`, and made into metrics when somebody looks.

    Args:
        registry: Where they are registered; a new one when left out. Also gets the process and platform collectors.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._models: dict[tuple[str, str], ModelMetrics] = {}
        self._model_ready = Gauge("kan_model_ready", "1 where a version answers, 0 where not.", _MODEL, registry=None)
        self._model_load_seconds = Histogram(
            "kan_model_load_duration_seconds",
            "Time to read, check and warm up a version.",
            ("model",),
            buckets=SECONDS,
            registry=None,
        )
        self._model_refused = Counter(
            "kan_model_refused_total", "Versions refused.", (*_MODEL, "reason"), registry=None
        )
        self._model_swaps = Counter(
            "kan_model_swaps_total", "Times that another version took over.", ("model",), registry=None
        )
        self._repository_seen = Gauge(
            "kan_repository_seen_timestamp_seconds",
            "Unix time of the last look at the model repository that met no trouble; 0 before the first.",
            registry=None,
        )
        self._build_info = Gauge("kan_build_info", "Always 1.", ("version", "onnxruntime", "provider"), registry=None)
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Every metric as it is now; in any thread."""
        models = list(self._models.items())
        yield from _of_answers(models)
        yield _histogram(
            "kan_queue_duration_seconds",
            "Time that a request waited for its first run.",
            _MODEL,
            SECONDS,
            ((labels, model.queue_seconds.read()) for labels, model in models),
        )
        yield _histogram(
            "kan_compute_duration_seconds",
            "Time of one run of a model.",
            _MODEL,
            SECONDS,
            ((labels, model.compute_seconds.read()) for labels, model in models),
        )
        yield _histogram(
            "kan_request_rows",
            "Rows per accepted request.",
            _MODEL,
            ROWS,
            ((labels, model.request_rows.read()) for labels, model in models),
        )
        yield _histogram(
            "kan_batch_rows",
            "Rows per run of a model.",
            _MODEL,
            ROWS,
            ((labels, model.batch_rows()) for labels, model in models),
        )
        queue_rows = GaugeMetricFamily("kan_queue_rows", "Rows waiting now.", labels=_MODEL)
        queue_limit = GaugeMetricFamily("kan_queue_limit_rows", "Most rows that may wait.", labels=_MODEL)
        batch_limit = GaugeMetricFamily("kan_batch_limit_rows", "Most rows that one run takes.", labels=_MODEL)
        rejected = CounterMetricFamily("kan_rejected_total", "Requests turned away.", labels=(*_MODEL, "reason"))
        for labels, model in models:
            queue_rows.add_metric(labels, model.queue_rows)
            if model.queue_limit_rows is not None and model.batch_limit_rows is not None:
                queue_limit.add_metric(labels, model.queue_limit_rows)
                batch_limit.add_metric(labels, model.batch_limit_rows)
            for reason, count in model.rejections.items():
                rejected.add_metric((*labels, reason), count)
        yield from (queue_rows, queue_limit, batch_limit, rejected)
        for metric in (
            self._model_ready,
            self._model_load_seconds,
            self._model_refused,
            self._model_swaps,
            self._repository_seen,
            self._build_info,
        ):
            yield from _without_created(metric.collect())

    def describe(self) -> Iterable[Metric]:
        """The same: a registry asks for names, before anything is counted."""
        return self.collect()

    def model(self, name: str, version: str) -> ModelMetrics:
        """The metrics of one model version, bound to its labels.

        Args:
            name: A model that is in the repository, or "" where the caller named none that is: names made up by
                callers would fill Prometheus.
            version: Its version as text, or "".
        """
        bound = self._models.get((name, version))
        if bound is None:
            bound = ModelMetrics(died=lambda: self._model_ready.labels(name, version).set(0))
            self._models[name, version] = bound
        return bound

    def build_info(self, *, version: str, onnxruntime: str, provider: str) -> None:
        """Say what is running: our version, onnxruntime's and the provider in use ("cpu" or "cuda")."""
        self._build_info.labels(version, onnxruntime, provider).set(1)

    def repository_seen(self) -> None:
        """Say that the repository was looked at, and all that was wanted of it could be read."""
        self._repository_seen.set_to_current_time()

    def model_ready(self, name: str, version: int, *, ready: bool) -> None:
        """Say whether a version answers."""
        self._model_ready.labels(name, str(version)).set(ready)

    def model_loaded(self, name: str, seconds: float) -> None:
        """Count a version that was loaded, with the time it took in seconds."""
        self._model_load_seconds.labels(name).observe(seconds)
        # From the start at zero: the first swap then shows as a rate.
        self._model_swaps.labels(name)

    def model_retired(self, name: str, version: int) -> None:
        """Say that a version is gone, or wanted no longer; its counters stay, as Prometheus wants them to."""
        self._model_ready.remove(name, str(version))

    def model_swapped(self, name: str) -> None:
        """Count another version that took over."""
        self._model_swaps.labels(name).inc()

    def model_refused(self, name: str, version: int, kind: str) -> None:
        """Count a version that was refused; kind is one word out of few."""
        self._model_refused.labels(name, str(version), kind).inc()
        self.model_ready(name, version, ready=False)


def _of_answers(models: Sequence[tuple[tuple[str, str], ModelMetrics]]) -> Iterator[Metric]:
    """Requests answered, by code, and their time, by protocol."""
    requests = CounterMetricFamily("kan_requests_total", "Requests answered.", labels=(*_MODEL, "protocol", "code"))
    seconds: dict[tuple[str, ...], Reading] = {}
    counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
    # No model: what comes while models are loading fails under the empty name.
    named = [("", ""), *(labels for labels, _ in models)]
    counts.update(((*labels, protocol, code), 0) for labels in named for protocol in _PROTOCOLS for code in _CODES)
    for labels, model in models:
        for (protocol, code, _), tally in list(model.answered.items()):
            reading = tally.read()
            counts[*labels, protocol, code] += reading.count
            of_protocol = (*labels, protocol)
            seconds[of_protocol] = reading.plus(seconds[of_protocol]) if of_protocol in seconds else reading
    for key, count in counts.items():
        requests.add_metric(key, count)
    yield requests
    yield _histogram(
        "kan_request_duration_seconds",
        "Time from a request's arrival to its answer.",
        (*_MODEL, "protocol"),
        SECONDS,
        seconds.items(),
    )


def _histogram(
    name: str,
    text: str,
    labels: Sequence[str],
    bounds: Sequence[float],
    readings: Iterable[tuple[Sequence[str], Reading]],
) -> Metric:
    """Readings, with their label values, as one metric."""
    names = [floatToGoString(bound) for bound in (*bounds, float("inf"))]  # type: ignore[no-untyped-call]
    histogram = HistogramMetricFamily(name, text, labels=labels)
    for values, reading in readings:
        up_to = map(float, accumulate(reading.counts.tolist()))
        histogram.add_metric(values, list(zip(names, up_to, strict=True)), reading.total)
    return histogram


def _without_created(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """The library's own series of when each series was made are noise: a restart shows in the process's start time."""
    for metric in metrics:
        metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        yield metric
