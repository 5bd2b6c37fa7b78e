"""Metrics as a scraper sees them."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import Metrics


def _scrape(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of a scrape by name and labels, through Prometheus' text format."""
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_names_and_labels_are_the_documented_ones() -> None:
    """Each metric of docs/operations.md is there with its labels, under the name that PromQL uses."""
    metrics = Metrics()
    model = metrics.model("digits", "3")
    model.request("kan_api", "OK", 0.001)
    model.accepted(2)
    model.queued(5)
    model.waited(0.0001)
    model.ran(7, 0.0002)
    model.rejected("overload")
    metrics.model_ready("digits", 3, ready=True)
    metrics.model_loaded("digits", 0.2)
    metrics.model_refused("digits", 4, "checksum")
    metrics.build_info(version="0.1", onnxruntime="1.32", provider="cpu")
    samples = _scrape(metrics)
    of = (("model", "digits"), ("version", "3"))
    assert samples["kan_requests_total", (("code", "OK"), of[0], ("protocol", "kan_api"), of[1])] == 1
    assert samples["kan_request_duration_seconds_count", (of[0], ("protocol", "kan_api"), of[1])] == 1
    assert samples["kan_queue_duration_seconds_sum", of] == 0.0001
    assert samples["kan_compute_duration_seconds_sum", of] == 0.0002
    assert samples["kan_request_rows_sum", of] == 2
    assert samples["kan_batch_rows_sum", of] == 7
    assert samples["kan_queue_rows", of] == 5
    assert samples["kan_rejected_total", (of[0], ("reason", "overload"), of[1])] == 1
    assert samples["kan_rejected_total", (of[0], ("reason", "cancelled"), of[1])] == 0
    assert samples["kan_model_ready", of] == 1
    assert samples["kan_model_ready", (of[0], ("version", "4"))] == 0
    assert samples["kan_model_load_duration_seconds_count", of[:1]] == 1
    assert samples["kan_model_refused_total", (of[0], ("reason", "checksum"), ("version", "4"))] == 1
    assert samples["kan_model_swaps_total", of[:1]] == 0
    assert samples["kan_build_info", (("onnxruntime", "1.32"), ("provider", "cpu"), ("version", "0.1"))] == 1


def test_buckets_reach_from_25_microseconds_to_10_seconds_and_rows_double() -> None:
    """Durations resolve a fast model and still hold a stuck one; rows are counted by powers of two."""
    metrics = Metrics()
    metrics.model("digits", "1").request("kan_api", "OK", 0.001)
    names = {
        name: sorted(float(dict(labels)["le"]) for sample, labels in _scrape(metrics) if sample == f"{name}_bucket")[
            :-1
        ]
        for name in ("kan_request_duration_seconds", "kan_queue_duration_seconds", "kan_batch_rows")
    }
    assert names["kan_request_duration_seconds"][0] == 25e-6
    assert names["kan_queue_duration_seconds"][-1] == 10
    assert names["kan_batch_rows"] == [2.0**power for power in range(13)]


def test_process_and_platform_are_shown() -> None:
    """Memory of the process and the Python in use are there for the dashboard."""
    names = {name for name, _ in _scrape(Metrics())}
    assert {"python_info", "process_resident_memory_bytes"} <= names


def test_two_servers_in_a_process_do_not_mix() -> None:
    """Each Metrics has a registry of its own."""
    first, second = Metrics(), Metrics()
    first.model("digits", "1").request("kan_api", "OK", 0.001)
    assert not any(name == "kan_requests_total" for name, _ in _scrape(second))


def test_a_model_is_bound_once() -> None:
    """The children of a version are the same object each time, so that two users count together."""
    metrics = Metrics()
    assert metrics.model("digits", "1") is metrics.model("digits", "1")
    assert metrics.model("digits", "1") is not metrics.model("digits", "2")
