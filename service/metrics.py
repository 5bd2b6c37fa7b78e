"""What Prometheus sees. One registry an object, so that several servers can live in one process.

Who counts what, so that nothing counts twice: the batcher reports everything about rows, waiting, runs and the
rejections overload, deadline, cancelled and draining; rpc.py reports each request once and the rejection invalid;
the registry reports loading and readiness.
"""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from service.statistics import Statistics

Rejection = Literal["overload", "deadline", "cancelled", "draining", "invalid"]

_REJECTIONS: tuple[Rejection, ...] = ("overload", "deadline", "cancelled", "draining", "invalid")
_SECONDS = (
    25e-6,
    50e-6,
    100e-6,
    250e-6,
    500e-6,
    1e-3,
    2.5e-3,
    5e-3,
    10e-3,
    25e-3,
    50e-3,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
)
_ROWS = tuple(float(2**exponent) for exponent in range(13))
_MODEL = ("model", "version")


class Metrics:
    """All metrics of one server.

    Args:
        registry: Where they are registered; a new one when left out. Also gets the process and platform collectors.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = self._counter("kan_requests_total", "Requests answered.", *_MODEL, "protocol", "code")
        self._request_seconds = self._histogram(
            "kan_request_duration_seconds",
            "Time from a request's arrival to its answer.",
            _SECONDS,
            *_MODEL,
            "protocol",
        )
        self._queue_seconds = self._histogram(
            "kan_queue_duration_seconds", "Time that a request waited for its first run.", _SECONDS, *_MODEL
        )
        self._compute_seconds = self._histogram(
            "kan_compute_duration_seconds", "Time of one run of a model.", _SECONDS, *_MODEL
        )
        self._request_rows = self._histogram("kan_request_rows", "Rows per accepted request.", _ROWS, *_MODEL)
        self._batch_rows = self._histogram("kan_batch_rows", "Rows per run of a model.", _ROWS, *_MODEL)
        self._queue_rows = self._gauge("kan_queue_rows", "Rows waiting now.", *_MODEL)
        self._rejected = self._counter("kan_rejected_total", "Requests turned away.", *_MODEL, "reason")
        self._model_ready = self._gauge("kan_model_ready", "1 where a version answers, 0 where not.", *_MODEL)
        self._model_load_seconds = self._histogram(
            "kan_model_load_duration_seconds", "Time to read, check and warm up a version.", _SECONDS, "model"
        )
        self._model_refused = self._counter("kan_model_refused_total", "Versions refused.", *_MODEL, "reason")
        self._model_swaps = self._counter("kan_model_swaps_total", "Times that another version took over.", "model")
        self._build_info = self._gauge("kan_build_info", "Always 1.", "version", "onnxruntime", "provider")
        self._models: dict[tuple[str, str], ModelMetrics] = {}

    def model(self, name: str, version: str) -> "ModelMetrics":
        """The metrics of one model version, bound to its labels.

        Args:
            name: A model that is in the repository, or "" where the caller named none that is: names made up by
                callers would fill Prometheus.
            version: Its version as text, or "".
        """
        bound = self._models.get((name, version))
        if bound is None:
            bound = self._models[name, version] = ModelMetrics(self, name, version)
        return bound

    def build_info(self, *, version: str, onnxruntime: str, provider: str) -> None:
        """Say what is running: our version, onnxruntime's and the provider in use ("cpu" or "cuda")."""
        self._build_info.labels(version, onnxruntime, provider).set(1)

    def model_ready(self, name: str, version: int, *, ready: bool) -> None:
        """Say whether a version answers."""
        self._model_ready.labels(name, str(version)).set(ready)

    def model_loaded(self, name: str, seconds: float) -> None:
        """Count a version that was loaded, with the time it took in seconds."""
        self._model_load_seconds.labels(name).observe(seconds)
        # From the start at zero: the first swap then shows as a rate.
        self._model_swaps.labels(name)

    def model_retired(self, name: str, version: int) -> None:
        """Say that a version is gone; its counters stay, as Prometheus wants them to."""
        self._model_ready.remove(name, str(version))

    def model_swapped(self, name: str) -> None:
        """Count another version that took over."""
        self._model_swaps.labels(name).inc()

    def model_refused(self, name: str, version: int, kind: str) -> None:
        """Count a version that was refused; kind is one word out of few."""
        self._model_refused.labels(name, str(version), kind).inc()
        self.model_ready(name, version, ready=False)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


class ModelMetrics:
    """The hot metrics of one model version, labels bound once. It is a batcher's BatchObserver.

    Attributes:
        statistics: The same in exact sums, for who asks over the Open Inference Protocol.
    """

    def __init__(self, metrics: Metrics, name: str, version: str) -> None:
        self.statistics = Statistics()
        self._labels = (name, version)
        self._ready = metrics._model_ready
        self._requests = metrics._requests
        self._request_seconds = metrics._request_seconds
        self._queue_seconds = metrics._queue_seconds.labels(name, version)
        self._compute_seconds = metrics._compute_seconds.labels(name, version)
        self._request_rows = metrics._request_rows.labels(name, version)
        self._batch_rows = metrics._batch_rows.labels(name, version)
        self._queue_rows = metrics._queue_rows.labels(name, version)
        self._rejections = {reason: metrics._rejected.labels(name, version, reason) for reason in _REJECTIONS}
        self._answered: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def request(self, protocol: str, code: str, seconds: float) -> None:
        """Count one answered request.

        Args:
            protocol: "kan_api", "open_inference", …
            code: Name of the status code, such as "OK".
            seconds: Time from arrival to answer.
        """
        bound = self._answered.get((protocol, code))
        if bound is None:
            bound = self._answered[protocol, code] = (
                self._requests.labels(*self._labels, protocol, code),
                self._request_seconds.labels(*self._labels, protocol),
            )
        bound[0].inc()
        bound[1].observe(seconds)

    def accepted(self, rows: int) -> None:
        """Count a request that was taken into the queue, with its rows."""
        self._request_rows.observe(rows)

    def queued(self, rows: int) -> None:
        """Say how many rows wait now."""
        self._queue_rows.set(rows)

    def waited(self, seconds: float) -> None:
        """Say how long a request waited before its first run."""
        self._queue_seconds.observe(seconds)
        self.statistics.queue.add(seconds)

    def ran(self, rows: int, seconds: float) -> None:
        """Count one run of the model, with its rows and its time."""
        self._batch_rows.observe(rows)
        self._compute_seconds.observe(seconds)
        self.statistics.ran(rows, seconds)

    def rejected(self, reason: Rejection) -> None:
        """Count a request that was turned away."""
        self._rejections[reason].inc()

    def died(self) -> None:
        """Say that this version does not answer any more."""
        self._ready.labels(*self._labels).set(0)
