"""Exemplars: the trace of a number in each bucket, as OpenMetrics has them."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.metrics.metrics import Metrics

_FIRST, _SECOND = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"


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
    """A request that was not run has no wait."""
    model = metrics.model("digits", "1")
    model.traced(_FIRST, 0.002, [0.0002, 0.03])
    model.traced(_SECOND, None, [])
    assert _exemplars(metrics, "kan_queue_duration_seconds") == {"0.0025": (_FIRST, 0.002)}
    assert _exemplars(metrics, "kan_compute_duration_seconds") == {"0.00025": (_FIRST, 0.0002), "0.05": (_FIRST, 0.03)}


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
