"""Exemplars: the trace of a number in each bucket, as OpenMetrics has them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.batching.batcher import Batcher
from service.batching.request import Outputs, Rows
from service.errors import InferenceFailed, InvalidRequest
from service.metrics.metrics import Metrics
from service.metrics.model_observer import ModelObserver
from service.rpc.ending import count_failure
from service.rpc.request import RequestContext
from service.tracing.trace import Ids, Trace
from tests.kit.clock import Clock
from tests.kit.parts.batching import double_in, some_rows

_FIRST, _SECOND = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"


@dataclass(frozen=True)
class Method:
    """A method of the table."""

    path: str
    protocol: str


@pytest.fixture
def metrics() -> Metrics:
    """Metrics with a version that answers."""
    made = Metrics()
    made.model_ready("digits", 1, ready=True)
    return made


def _exemplars(metrics: Metrics, name: str) -> dict[str, tuple[str, float]]:
    """By upper bound of a bucket: trace and value."""
    text = exposition.generate_latest(metrics.registry).decode()  # type: ignore[no-untyped-call]
    return {
        sample.labels["le"]: (sample.exemplar.labels["trace_id"], sample.exemplar.value)
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name == f"{name}_bucket" and sample.exemplar
    }


def test_each_bucket_has_the_last_trace_of_a_number_in_it(metrics: Metrics) -> None:
    """A number equal to a bound is in its bucket, one above all bounds in the last."""
    model = metrics.model("digits", "1")
    for seconds, trace in ((0.002, _FIRST), (0.0021, _SECOND), (0.005, _FIRST), (60.0, _SECOND)):
        model.request("kan_api", "OK", seconds).traced(seconds, trace)
    assert _exemplars(metrics, "kan_request_duration_seconds") == {
        "0.0025": (_SECOND, 0.0021),
        "0.005": (_FIRST, 0.005),
        "+Inf": (_SECOND, 60.0),
    }


def test_waits_and_runs_have_them_too(metrics: Metrics) -> None:
    """Each in the histogram that counts it."""
    model = metrics.model("digits", "1")
    model.queue_seconds.traced(0.002, _FIRST)
    observer = ModelObserver(model)
    for seconds in (0.0002, 0.03):
        observer.traced(seconds, _FIRST)
    assert _exemplars(metrics, "kan_queue_duration_seconds") == {"0.0025": (_FIRST, 0.002)}
    assert _exemplars(metrics, "kan_compute_duration_seconds") == {"0.00025": (_FIRST, 0.0002), "0.05": (_FIRST, 0.03)}


def test_runs_are_examples_where_they_are_counted(metrics: Metrics) -> None:
    """A run of attribution.onnx is one of kan_explain_duration_seconds, and a failed run of nothing."""
    model, clock = metrics.model("digits", "1"), Clock()
    trace = Trace(Ids(_FIRST, "00f067aa0ba902b7"), "", "", clock(), take=lambda _: None)

    def fail(_: Rows) -> Outputs:
        clock.now += 3
        raise FloatingPointError("negative")

    async def call() -> None:
        runs = ((double_in(clock, 0.25), ModelObserver(model)), (double_in(clock, 0.5), model.explanations))
        for run, observer in (*runs, (fail, ModelObserver(model))):
            batcher = Batcher(run, max_batch_rows=8, max_queue_rows=8, observer=observer, clock=clock)
            with suppress(InferenceFailed):
                await batcher.submit(some_rows(1), follower=trace)

    asyncio.run(call())
    context = RequestContext(model="digits", version="1", inference=True, trace=trace)
    count_failure(Method("/a/Infer", "open_inference"), context, InvalidRequest("no"), 4.0, metrics)
    assert len(trace.runs) == 3
    assert _exemplars(metrics, "kan_compute_duration_seconds") == {"0.25": (_FIRST, 0.25)}
    assert _exemplars(metrics, "kan_explain_duration_seconds") == {"0.5": (_FIRST, 0.5)}


def test_codes_of_one_protocol_share_their_buckets(metrics: Metrics) -> None:
    """The histogram is summed over the codes, and an exemplar of any code is one of the sum."""
    model = metrics.model("digits", "1")
    model.request("kan_api", "INTERNAL", 0.002).traced(0.002, _FIRST)
    model.request("kan_api", "OK", 0.5)
    assert _exemplars(metrics, "kan_request_duration_seconds") == {"0.0025": (_FIRST, 0.002)}


def test_the_text_format_has_none(metrics: Metrics) -> None:
    """Prometheus' older format has no place for them."""
    metrics.model("digits", "1").request("kan_api", "OK", 0.002).traced(0.002, _FIRST)
    assert _FIRST not in generate_latest(metrics.registry).decode()
