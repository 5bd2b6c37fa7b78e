"""The counts of versions and models as metric families of Prometheus."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from prometheus_client import Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from service.metrics.bucket_counts import BucketCounts, Snapshot
from service.metrics.drift.families import of_served_rows
from service.metrics.model_metrics import ROWS, SECONDS, ModelMetrics

_MODEL = ("model", "version")
# These counters exist with the value 0 from the start. rate() does not see the first value of a new counter, so it
# would miss a first burst of errors.
_PROTOCOLS = ("kan_api", "open_inference")
_TRACE_RESULTS = ("sent", "queue_full", "failed")
_CODES = ("OK", "INTERNAL", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNKNOWN")


@dataclass(eq=False, slots=True)
class VersionSeries:
    """The data for the series of one version.

    Attributes:
        counts: The counts of its requests and runs.
        ready: Whether it answers; None before it was loaded and after it was retired.
        owner: The object that last reported it as ready; see `Metrics.model_ready`.
        refused: How often it was refused, by reason.
        retired_at: When it was retired, by the clock of `Metrics`; None while it is in use.
    """

    counts: ModelMetrics
    ready: bool | None = None
    owner: object = None
    refused: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    retired_at: float | None = None


@dataclass(eq=False, slots=True)
class ModelSeries:
    """The data for the series of one model, over all its versions.

    Attributes:
        load_seconds: Durations of loads.
        swaps: How often another version took over.
    """

    load_seconds: BucketCounts = field(default_factory=lambda: BucketCounts(SECONDS))
    swaps: int = 0


# Name, text, bounds, and how the counts of a version are read.
_HISTOGRAMS: Sequence[tuple[str, str, Sequence[float], Callable[[ModelMetrics], Snapshot]]] = (
    (
        "kan_queue_duration_seconds",
        "Time that a request waited for its first run.",
        SECONDS,
        lambda counts: counts.queue_seconds.read(),
    ),
    (
        "kan_compute_duration_seconds",
        "Time of one run of a model.",
        SECONDS,
        lambda counts: counts.compute_seconds.read(),
    ),
    ("kan_request_rows", "Rows per accepted request.", ROWS, lambda counts: counts.request_rows.read()),
    ("kan_batch_rows", "Rows per run of a model.", ROWS, ModelMetrics.batch_rows),
)
Versions = Sequence[tuple[tuple[str, str], VersionSeries]]


def ready_of(versions: Versions) -> dict[tuple[str, str], bool]:
    """Whether versions answer at this moment, without those that were retired."""
    return {labels: version.ready for labels, version in versions if version.ready is not None}


def families(
    versions: Versions, models: Mapping[str, ModelSeries], ready: Mapping[tuple[str, str], bool]
) -> Iterator[Metric]:
    """All metrics of versions, labelled (model, version), and of models, labelled by name.

    Args:
        versions: The versions that were loaded or refused.
        models: The models with a version that was loaded.
        ready: Whether a version answers, also of versions that the next call loads. It is given apart, because a
            version may change while the metrics are read.
    """
    yield from _of_answers(versions)
    for name, text, bounds, read in _HISTOGRAMS:
        yield _histogram(name, text, _MODEL, bounds, ((labels, read(version.counts)) for labels, version in versions))
    yield from _of_explanations(versions)
    yield from _of_queues(versions)
    yield from _of_lives(versions, ready)
    yield from _of_models(models)
    served = [(labels, version.counts.served) for labels, version in versions]
    yield from of_served_rows([(labels, rows) for labels, rows in served if rows is not None])


def repository_seen() -> Gauge:
    """The gauge of the last scan."""
    return Gauge(
        "kan_repository_seen_timestamp_seconds",
        "Unix time of the last successful poll of the model repository; 0 before the first.",
        registry=None,
    )


def build_info() -> Gauge:
    """The gauge of what runs."""
    return Gauge("kan_build_info", "Always 1; what runs.", ("version", "onnxruntime"), registry=None)


def traces(counts: Mapping[str, int]) -> Metric:
    """The traces of sampled calls, by what became of them."""
    metric = CounterMetricFamily("kan_traces_total", "Traces of sampled calls.", labels=("result",))
    for result in _TRACE_RESULTS:
        metric.add_metric((result,), counts.get(result, 0))
    return metric


def _of_answers(versions: Versions) -> Iterator[Metric]:
    """Answered requests by code, and their duration by protocol."""
    requests = CounterMetricFamily("kan_requests_total", "Requests answered.", labels=(*_MODEL, "protocol", "code"))
    seconds: dict[tuple[str, ...], Snapshot] = {}
    counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
    # The empty name counts requests without a known model, for example while models are loading.
    named = [("", ""), *(labels for labels, _ in versions)]
    counts.update(((*labels, protocol, code), 0) for labels in named for protocol in _PROTOCOLS for code in _CODES)
    for labels, version in versions:
        for (protocol, code, _), buckets in list(version.counts.answered.items()):
            snapshot = buckets.read()
            counts[*labels, protocol, code] += snapshot.count
            of_protocol = (*labels, protocol)
            seconds[of_protocol] = snapshot.plus(seconds[of_protocol]) if of_protocol in seconds else snapshot
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


def _of_explanations(versions: Versions) -> Iterator[Metric]:
    """Rows and runs of attribution.onnx, of the versions that were asked for contributions."""
    rows = CounterMetricFamily("kan_explained_rows_total", "Rows whose answers were explained.", labels=_MODEL)
    asked = [(labels, version.counts.explanations) for labels, version in versions if version.counts.explanations.rows]
    for labels, counts in asked:
        rows.add_metric(labels, counts.rows)
    yield rows
    yield _histogram(
        "kan_explain_duration_seconds",
        "Time of one run of attribution.onnx.",
        _MODEL,
        SECONDS,
        ((labels, counts.run_seconds.read()) for labels, counts in asked),
    )


def _of_queues(versions: Versions) -> Iterator[Metric]:
    """Waiting rows, limits, and rejected requests."""
    queue_rows = GaugeMetricFamily("kan_queue_rows", "Rows waiting now.", labels=_MODEL)
    queue_limit = GaugeMetricFamily("kan_queue_limit_rows", "Most rows that may wait.", labels=_MODEL)
    batch_limit = GaugeMetricFamily("kan_batch_limit_rows", "Most rows that one run takes.", labels=_MODEL)
    rejected = CounterMetricFamily("kan_rejected_total", "Requests turned away.", labels=(*_MODEL, "reason"))
    for labels, version in versions:
        counts = version.counts
        queue_rows.add_metric(labels, counts.queue_rows)
        if counts.queue_limit_rows is not None and counts.batch_limit_rows is not None:
            queue_limit.add_metric(labels, counts.queue_limit_rows)
            batch_limit.add_metric(labels, counts.batch_limit_rows)
        for reason, count in counts.rejections.items():
            rejected.add_metric((*labels, reason), count)
    yield from (queue_rows, queue_limit, batch_limit, rejected)


def _of_lives(versions: Versions, ready: Mapping[tuple[str, str], bool]) -> Iterator[Metric]:
    """Whether versions answer, on which device they run, and which were refused."""
    answering = GaugeMetricFamily(
        "kan_model_ready", "1 where a version answers or the next call loads it, else 0.", labels=_MODEL
    )
    for labels, is_ready in ready.items():
        answering.add_metric(labels, is_ready)
    info = GaugeMetricFamily("kan_model_info", "Always 1; where a version runs.", labels=(*_MODEL, "provider"))
    inline = GaugeMetricFamily(
        "kan_model_inline", "1 where runs are on the event loop, 0 where in a thread.", labels=_MODEL
    )
    refused = CounterMetricFamily("kan_model_refused_total", "Versions refused.", labels=(*_MODEL, "reason"))
    for labels, version in versions:
        # A load that was refused as too slow still sets the provider when it ends, so `ready` is checked too.
        if version.ready and version.counts.provider is not None:
            info.add_metric((*labels, version.counts.provider), 1)
        if version.ready and version.counts.inline is not None:
            inline.add_metric(labels, version.counts.inline)
        for reason, count in list(version.refused.items()):
            refused.add_metric((*labels, reason), count)
    yield from (answering, info, inline, refused)


def _of_models(models: Mapping[str, ModelSeries]) -> Iterator[Metric]:
    """Loads and swaps."""
    yield _histogram(
        "kan_model_load_duration_seconds",
        "Time to read, check and warm up a version.",
        ("model",),
        SECONDS,
        (((name,), model.load_seconds.read()) for name, model in models.items()),
    )
    swaps = CounterMetricFamily("kan_model_swaps_total", "Times that another version took over.", labels=("model",))
    for name, model in models.items():
        swaps.add_metric((name,), model.swaps)
    yield swaps


def _histogram(
    name: str,
    text: str,
    labels: Sequence[str],
    bounds: Sequence[float],
    snapshots: Iterable[tuple[Sequence[str], Snapshot]],
) -> Metric:
    """Snapshots, each with its label values, as one metric."""
    names = [floatToGoString(bound) for bound in (*bounds, float("inf"))]  # type: ignore[no-untyped-call]
    histogram = HistogramMetricFamily(name, text, labels=labels)
    for values, snapshot in snapshots:
        up_to = map(float, accumulate(snapshot.counts.tolist()))
        exemplars: Iterator[Any] = map(snapshot.exemplars.get, range(len(names)))  # None is none
        histogram.add_metric(values, list(zip(names, up_to, exemplars, strict=True)), snapshot.total)
    return histogram
