"""How long the series of a version exist: while it has an owner, and 15 minutes longer."""

import numpy as np
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics.metrics import Metrics
from tests.kit.clock import Clock
from tests.kit.models.training_rows import manifest_of

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

KEPT_SECONDS = 15 * 60


@pytest.fixture
def clock() -> Clock:
    """The clock of `metrics`."""
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    """Metrics whose time stands still."""
    return Metrics(clock=clock)


def serve(metrics: Metrics, version: int, owner: object = None) -> None:
    """Load a version of the model digits and answer two requests, one of which fails."""
    counts = metrics.model("digits", str(version))
    counts.limits(batch_rows=64, queue_rows=8192)
    counts.provider = "cpu"
    metrics.model_loaded("digits", 0.2)
    metrics.model_ready("digits", version, ready=True, owner=owner)
    for code in ("OK", "INTERNAL"):
        counts.accepted(3)
        counts.waited(0.0)
        counts.ran(3, 0.001)
        metrics.model("digits", str(version)).request("kan_api", code, 0.002, 0.001)


def scrape(metrics: Metrics) -> Samples:
    """Every sample of ours, through Prometheus' text format."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
        if sample.name.startswith("kan_")
    }


def of(samples: Samples, **labels: str) -> Samples:
    """Samples that have these labels."""
    return {key: value for key, value in samples.items() if labels.items() <= dict(key[1]).items()}


def ready(metrics: Metrics, version: str = "1") -> float | None:
    """The value of kan_model_ready; None if there is no such series."""
    return metrics.registry.get_sample_value("kan_model_ready", {"model": "digits", "version": version})


def requests(metrics: Metrics, code: str = "OK", version: str = "1") -> float | None:
    """The number of requests with one code; None if there is no such series."""
    labels = {"model": "digits", "version": version, "protocol": "kan_api", "code": code}
    return metrics.registry.get_sample_value("kan_requests_total", labels)


def test_a_retired_version_goes_after_15_minutes_and_takes_nothing_with_it(metrics: Metrics, clock: Clock) -> None:
    """Until then none of its counters changes.

    Then all its series are removed, also of a refused version, and no other.
    """
    serve(metrics, 1)
    serve(metrics, 2)
    metrics.model_refused("digits", 3, "checksum")
    metrics.model_refused("wine", 1, "graph")
    metrics.model("", "").request("kan_api", "NOT_FOUND", 0.001)
    metrics.model_retired("digits", 1)
    metrics.model_retired("digits", 3)
    before = scrape(metrics)
    assert len(of(before, model="digits", version="1")) > 100
    assert of(before, model="digits", version="3", reason="checksum")
    assert ready(metrics) is None  # shown no longer at once
    clock.now += KEPT_SECONDS - 1
    assert scrape(metrics) == before
    clock.now += 1
    gone = of(before, model="digits", version="1") | of(before, model="digits", version="3")
    assert scrape(metrics) == {key: value for key, value in before.items() if key not in gone}


def test_counts_by_cell_go_with_their_version(metrics: Metrics, clock: Clock) -> None:
    """They stay for 15 minutes; a load with the same manifest goes on counting, one with another begins at 0."""
    training = np.random.default_rng(0).normal(size=(100, 2))
    manifest, other = manifest_of(training, training[:, :1]), manifest_of(training[:50], training[:50, :1])

    def rows() -> float:
        counted = of(scrape(metrics), column="x0").items()
        return sum(count for (name, _), count in counted if name == "kan_model_column_rows_total")

    serve(metrics, 1)
    counts = metrics.model("digits", "1")
    for loaded, expected in ((manifest, 5), (manifest, 10), (other, 5)):
        counts.served = counts.served_by(loaded)
        assert counts.served is not None
        counts.served.keep(training[:5].astype(np.float32), training[:5, :1])
        assert rows() == expected
    metrics.model_retired("digits", 1)
    assert of(scrape(metrics), output="y0")
    clock.now += KEPT_SECONDS
    assert not of(scrape(metrics), model="digits")


def test_a_model_goes_with_its_last_version(metrics: Metrics, clock: Clock) -> None:
    """Its loads and swaps stay while a version of it has series. If it returns, they begin at zero."""
    serve(metrics, 1)
    serve(metrics, 2)
    metrics.model_swapped("digits")
    metrics.model_retired("digits", 1)
    clock.now += KEPT_SECONDS / 2
    metrics.model_retired("digits", 2)
    clock.now += KEPT_SECONDS / 2
    swaps = ("kan_model_swaps_total", (("model", "digits"),))
    loads = ("kan_model_load_duration_seconds_count", (("model", "digits"),))
    samples = scrape(metrics)
    assert (samples[swaps], samples[loads]) == (1, 2)
    clock.now += KEPT_SECONDS / 2
    assert not of(scrape(metrics), model="digits")
    serve(metrics, 2)
    samples = scrape(metrics)
    assert (samples[swaps], samples[loads]) == (0, 1)


@pytest.mark.parametrize("again", ["ready", "refused"])
def test_a_version_that_comes_back_goes_on_where_it_was(metrics: Metrics, clock: Clock, again: str) -> None:
    """Loaded or refused within the 15 minutes its counters are not reset, and it is retired no longer."""
    serve(metrics, 1)
    metrics.model_retired("digits", 1)
    clock.now += KEPT_SECONDS - 1
    if again == "ready":
        metrics.model_ready("digits", 1, ready=True)
    else:
        metrics.model_refused("digits", 1, "checksum")
    clock.now += 10 * KEPT_SECONDS
    assert ready(metrics) == (again == "ready")
    assert (requests(metrics), requests(metrics, "INTERNAL")) == (1, 1)


def test_a_request_that_ends_on_a_retired_version_is_counted(metrics: Metrics, clock: Clock) -> None:
    """It keeps the series for 15 minutes more, or brings them back from zero; it does not make the version ready."""
    serve(metrics, 1)
    metrics.model_retired("digits", 1)
    clock.now += KEPT_SECONDS - 1
    metrics.model("digits", "1").request("kan_api", "OK", 0.001)
    clock.now += KEPT_SECONDS - 1
    assert (requests(metrics), ready(metrics)) == (2, None)
    clock.now += 1
    assert requests(metrics) is None
    metrics.model("digits", "1").request("kan_api", "OK", 0.001)
    clock.now += KEPT_SECONDS - 1
    assert (requests(metrics), ready(metrics)) == (1, None)
    clock.now += 1
    assert not of(scrape(metrics), model="digits")


def test_a_retirement_that_is_said_again_prolongs_nothing(metrics: Metrics, clock: Clock) -> None:
    """The registry reports it at each scan, for a refused version that is no longer wanted."""
    metrics.model_refused("digits", 1, "checksum")
    for _ in range(10):
        metrics.model_retired("digits", 1)
        clock.now += KEPT_SECONDS / 10
    assert not of(scrape(metrics), model="digits")
    metrics.model_retired("digits", 1)
    assert not of(scrape(metrics), model="digits")


def test_what_answers_stays_for_ever(metrics: Metrics, clock: Clock) -> None:
    """After a day without requests, the zeros of live versions, of no model and of unready versions are there."""
    serve(metrics, 1)
    serve(metrics, 2)
    metrics.model_ready("digits", 2, ready=False)
    metrics.model("", "")
    before = scrape(metrics)
    clock.now += 100 * KEPT_SECONDS
    assert scrape(metrics) == before


def test_the_close_of_an_older_object_leaves_the_newer_one_ready(metrics: Metrics, clock: Clock) -> None:
    """A version is unloaded and loaded again during an old lease: reports of the old object are ignored."""
    older, newer = object(), object()
    serve(metrics, 1, older)
    serve(metrics, 1, newer)
    metrics.model_ready("digits", 1, ready=False, owner=older)
    metrics.model_retired("digits", 1, owner=older)
    clock.now += 2 * KEPT_SECONDS
    assert (ready(metrics), requests(metrics)) == (1, 2)
    metrics.model_ready("digits", 1, ready=False, owner=newer)
    assert ready(metrics) == 0
    metrics.model_retired("digits", 1, owner=newer)
    assert ready(metrics) is None


def test_the_close_of_an_older_object_leaves_a_refusal_told(metrics: Metrics) -> None:
    """The version was changed and is refused now: its alert stays when the old object closes."""
    older = object()
    serve(metrics, 1, older)
    metrics.model_refused("digits", 1, "checksum")
    metrics.model_retired("digits", 1, owner=older)
    assert ready(metrics) == 0
    assert not [name for name, _ in scrape(metrics) if name == "kan_model_info"]


def test_a_caller_that_names_no_owner_speaks_for_all(metrics: Metrics) -> None:
    """A stop turns all versions off, and a refused version has no object."""
    metrics.model_ready("digits", 1, ready=True, owner=object())
    metrics.model_ready("digits", 1, ready=False)
    assert ready(metrics) == 0
    metrics.model_ready("digits", 1, ready=True, owner=object())
    metrics.model_retired("digits", 1)
    assert ready(metrics) is None


def test_a_version_that_breaks_after_it_was_retired_does_not_come_back(metrics: Metrics) -> None:
    """Otherwise its gauge would be 0 until a restart, with an alert for a model that is no longer wanted."""
    serve(metrics, 1)
    counts = metrics.model("digits", "1")
    metrics.model_retired("digits", 1)
    counts.died()
    assert ready(metrics) is None
