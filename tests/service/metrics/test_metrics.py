"""Metrics as a scraper sees them."""

import itertools
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics.metrics import Metrics
from service.metrics.model_metrics import ROWS, SECONDS
from service.metrics.statistics import Duration

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

_MODEL = ("model", "version")
_CODES = ("OK", "INTERNAL", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNKNOWN")


def _scrape(metrics: Metrics) -> Samples:
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
    model.provider = "cpu"
    metrics.build_info(version="0.1", onnxruntime="1.32")
    began = time.time()
    metrics.repository_seen()
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
    assert began <= samples["kan_repository_seen_timestamp_seconds", ()] <= time.time()
    assert samples["kan_model_info", (of[0], ("provider", "cpu"), of[1])] == 1
    assert samples["kan_build_info", (("onnxruntime", "1.32"), ("version", "0.1"))] == 1


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
    assert ("model", "digits") not in {label for _, labels in _scrape(second) for label in labels}


def test_a_model_is_bound_once() -> None:
    """The children of a version are the same object each time, so that two users count together."""
    metrics = Metrics()
    assert metrics.model("digits", "1") is metrics.model("digits", "1")
    assert metrics.model("digits", "1") is not metrics.model("digits", "2")


def test_requests_of_one_protocol_share_a_histogram_whatever_became_of_them() -> None:
    """Only the counter has the codes. Requests that are no inference count in both."""
    metrics = Metrics()
    model = metrics.model("digits", "1")
    for code, seconds, compute_seconds in (("OK", 0.001, 0.0005), ("OK", 0.002, None), ("INTERNAL", 0.004, 0.0)):
        model.request("kan_api", code, seconds, compute_seconds)
    model.request("open_inference", "OK", 20.0)
    samples = _scrape(metrics)
    of = {"model": "digits", "version": "1"}

    def sample(name: str, **labels: str) -> float:
        return samples[name, tuple(sorted({**of, **labels}.items()))]

    assert sample("kan_requests_total", protocol="kan_api", code="OK") == 2
    assert sample("kan_requests_total", protocol="kan_api", code="INTERNAL") == 1
    name = "kan_request_duration_seconds"
    assert [sample(f"{name}_bucket", protocol="kan_api", le=le) for le in ("0.0005", "0.001", "0.0025", "+Inf")] == [
        0,
        1,
        2,
        3,
    ]
    assert sample(f"{name}_sum", protocol="kan_api") == pytest.approx(0.007)
    assert sample(f"{name}_bucket", protocol="open_inference", le="10.0") == 0
    assert sample(f"{name}_count", protocol="open_inference") == 1


def test_a_model_that_nobody_asked_shows_zeros() -> None:
    """Series are there from the start, so that a rate can be had of the first request."""
    metrics = Metrics()
    metrics.model("digits", "1")
    samples = _scrape(metrics)
    of = (("model", "digits"), ("version", "1"))
    for name in ("kan_queue_duration_seconds", "kan_compute_duration_seconds", "kan_request_rows", "kan_batch_rows"):
        assert samples[f"{name}_count", of] == 0
    assert samples["kan_queue_rows", of] == 0


def test_failures_that_an_objective_counts_are_there_before_the_first_one() -> None:
    """A rate does not see the first value of a new counter. The codes are those of Prometheus' rules, and OK."""
    metrics = Metrics()
    metrics.model("digits", "1")
    rules = (Path(__file__).parents[3] / "deploy" / "prometheus" / "rules" / "recording.yaml").read_text()
    (failures,) = set(re.findall(r'\bcode=~"([^"]*)"', rules))
    shown = {labels: value for (name, labels), value in _scrape(metrics).items() if name == "kan_requests_total"}
    wanted = {
        (("code", code), ("model", model), ("protocol", protocol), ("version", version)): 0
        for model, version in (("digits", "1"), ("", ""))
        for protocol in ("kan_api", "open_inference")
        for code in ("OK", *failures.split("|"))
    }
    assert shown == wanted
    metrics.model("digits", "1").request("kan_api", "INTERNAL", 0.001)
    of = (("code", "INTERNAL"), ("model", "digits"), ("protocol", "kan_api"), ("version", "1"))
    assert _scrape(metrics)["kan_requests_total", of] == 1


def test_what_is_shown_is_what_the_library_would_show() -> None:
    """Types, help texts, bucket names and order of lines are those of prometheus_client's own objects."""
    metrics, library = Metrics(), CollectorRegistry()
    model = metrics.model("digits", "1")
    labels = ("digits", "1")
    counter = Counter("kan_requests_total", "Requests answered.", (*_MODEL, "protocol", "code"), registry=library)
    duration = Histogram(
        "kan_request_duration_seconds",
        "Time from a request's arrival to its answer.",
        (*_MODEL, "protocol"),
        buckets=SECONDS,
        registry=library,
    )
    for birth in itertools.product((("", ""), labels), ("kan_api", "open_inference"), _CODES):
        counter.labels(*birth[0], *birth[1:])
    batch_rows = Histogram("kan_batch_rows", "Rows per run of a model.", _MODEL, buckets=ROWS, registry=library)
    queue_rows = Gauge("kan_queue_rows", "Rows waiting now.", _MODEL, registry=library)
    for seconds in (0.0, 25e-6, 0.3, 11.0):
        model.request("kan_api", "OK", seconds)
        counter.labels(*labels, "kan_api", "OK").inc()
        duration.labels(*labels, "kan_api").observe(seconds)
    for rows in (1, 3, 3, 5000):
        model.ran(rows, 0.001)
        batch_rows.labels(*labels).observe(rows)
    model.queued(7)
    queue_rows.labels(*labels).set(7)
    shown = generate_latest(metrics.registry).decode().splitlines()
    wanted = [line for line in generate_latest(library).decode().splitlines() if "_created" not in line]
    names = ("kan_requests", "kan_request_duration", "kan_batch_rows", "kan_queue_rows")
    assert [line for line in shown if any(name in line for name in names)] == wanted


def test_no_series_tells_when_a_series_was_made() -> None:
    """The library's _created series would double the number of counters."""
    metrics = Metrics()
    metrics.model("digits", "1").request("kan_api", "OK", 0.001)
    metrics.model_loaded("digits", 0.2)
    metrics.model_refused("digits", 4, "checksum")
    assert not any("_created" in name for name, _ in _scrape(metrics))
    assert "_created" not in generate_latest(metrics.registry).decode()


def test_a_scraper_may_ask_for_some_names() -> None:
    """The registry knows which metrics are here, as the page's name filter needs it."""
    metrics = Metrics()
    metrics.model("digits", "1").accepted(3)
    text = generate_latest(metrics.registry.restricted_registry(["kan_request_rows_sum"])).decode()
    assert 'kan_request_rows_sum{model="digits",version="1"} 3.0' in text
    assert "kan_batch_rows" not in text


def test_a_scrape_sees_every_request_once_while_they_come() -> None:
    """Scrapes in another thread during a load: no error, no count falls or vanishes, and at the end all are there."""
    metrics, done, number = Metrics(), threading.Event(), 0
    risen: list[int] = []

    def scrape() -> None:
        before: Samples = {}
        while not done.is_set():
            counts = {key: value for key, value in _scrape(metrics).items() if key[0].endswith(("_total", "_count"))}
            counts = {key: value for key, value in counts.items() if key[0].startswith("kan_")}
            fallen = [key for key, value in before.items() if counts.get(key, -1) < value]
            assert not fallen
            risen.append(sum(value > before.get(key, 0) for key, value in counts.items()))
            before = counts

    with ThreadPoolExecutor(1) as executor:
        scraping = executor.submit(scrape)
        try:
            # Until requests came between scrapes often enough, however fast this machine is.
            while sum(map(bool, risen)) < 10 and not scraping.done():
                # New series come while scrapes run, but few: beside a loop that never rests each costs a scrape 15 ms.
                model = metrics.model(f"model {number // 5000 % 3}", "1")
                model.request("kan_api", f"CODE {number // 100 % 3}", 0.001)
                model.ran(1 + number % 64, 0.001)
                number += 1
        finally:
            done.set()
        scraping.result(20)
    samples = _scrape(metrics)
    assert sum(value for (name, _), value in samples.items() if name == "kan_requests_total") == number
    assert sum(value for (name, _), value in samples.items() if name == "kan_batch_rows_count") == number


def test_limits_are_shown_where_a_model_runs() -> None:
    """Saturation is waiting rows against their bound; under the empty name nothing runs, and there is none."""
    metrics = Metrics()
    metrics.model("digits", "1").limits(batch_rows=64, queue_rows=8192)
    metrics.model("", "").request("kan_api", "NOT_FOUND", 0.001)
    samples = _scrape(metrics)
    limits = {key: value for key, value in samples.items() if key[0].endswith("_limit_rows")}
    of = (("model", "digits"), ("version", "1"))
    assert limits == {("kan_batch_limit_rows", of): 64, ("kan_queue_limit_rows", of): 8192}


def test_statistics_are_sums_of_what_was_told() -> None:
    """Requests for inference by outcome, runs by size; other requests are left out."""
    model = Metrics().model("digits", "1")
    assert (model.statistics().rows, model.statistics().last_run_seconds) == (0, 0)
    before = time.time()
    for rows, seconds in ((1, 0.5), (8, 2.0), (8, 1.0)):
        model.ran(rows, seconds)
    for code, seconds in (("OK", 4.0), ("INTERNAL", 8.0), ("OK", 1.0)):
        model.request("kan_api", code, seconds, seconds / 2)
    model.request("kan_api", "OK", 100.0)
    model.waited(0.25)
    statistics = model.statistics()
    assert (statistics.rows, statistics.runs) == (17, 3)
    assert statistics.batches == {1: Duration(1, 0.5), 8: Duration(2, 3.0)}
    assert statistics.success == Duration(2, 5.0)
    assert statistics.fail == Duration(1, 8.0)
    assert statistics.queue == Duration(1, 0.25)
    # Of a request that failed nobody knows the time of its runs.
    assert statistics.compute == Duration(2, 2.5)
    assert before <= statistics.last_run_seconds <= time.time()


def test_a_dead_version_is_shown_as_not_ready() -> None:
    """A batcher that breaks turns the gauge of its own version off."""
    metrics = Metrics()
    for version in (1, 2):
        metrics.model("digits", str(version))
        metrics.model_ready("digits", version, ready=True)
    metrics.model("digits", "2").died()
    samples = _scrape(metrics)
    assert [samples["kan_model_ready", (("model", "digits"), ("version", version))] for version in "12"] == [1, 0]


@pytest.mark.parametrize("code", ["OK", "INTERNAL"])
def test_what_waits_for_sorting_is_bounded(code: str) -> None:
    """Requests are counted before their run by a bare append; the run, or the failed request, sorts them."""
    model = Metrics().model("digits", "1")
    for _ in range(3000):
        model.accepted(1)
        model.waited(0.0)
        if code == "OK":
            model.ran(1, 0.001)
        model.request("kan_api", code, 0.001, 0.0)
    assert max(len(counts._kept) for counts in (model.request_rows, model.queue_seconds)) < 1024
    assert (model.request_rows.read().count, model.queue_seconds.read().count) == (3000, 3000)
