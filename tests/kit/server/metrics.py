"""What a server has counted, read over HTTP or from the registry in this process."""

import urllib.request
from collections import Counter
from collections.abc import Iterable
from typing import Any

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

# The histograms whose buckets name a trace.
TIMED = {f"kan_{what}_duration_seconds_bucket" for what in ("request", "queue", "compute")}


def read(http: str) -> list[Any]:
    """The families that /metrics shows at an address."""
    with urllib.request.urlopen(f"http://{http}/metrics", timeout=90) as answer:
        return list(text_string_to_metric_families(answer.read().decode()))


def total(families: Iterable[Any], name: str, **labels: str) -> float:
    """The sum of the samples that have this name and at least these labels; 0 if there are none."""
    samples = (sample for family in families for sample in family.samples)
    found = [sample for sample in samples if sample.name == name and labels.items() <= sample.labels.items()]
    return float(sum(sample.value for sample in found))


def counted(server: Any, name: str, **labels: str) -> float:
    """The same of a server in this process."""
    return total(server.metrics.registry.collect(), name, **labels)


def codes(http: str, model: str) -> Counter[str]:
    """How many requests to a model got each status; statuses without a request are absent."""
    found: Counter[str] = Counter()
    for family in read(http):
        for sample in family.samples:
            if sample.name == "kan_requests_total" and sample.labels["model"] == model:
                found[sample.labels["code"]] += int(sample.value)
    return +found


def traces_of_exemplars(http: str) -> set[tuple[str, str]]:
    """The names of the samples that name a trace in OpenMetrics, with its id."""
    request = urllib.request.Request(f"http://{http}/metrics", headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request, timeout=90) as answer:
        families = openmetrics.text_string_to_metric_families(answer.read().decode())  # type: ignore[no-untyped-call]
        samples = [sample for family in families for sample in family.samples if sample.exemplar]
    return {(sample.name, sample.exemplar.labels["trace_id"]) for sample in samples}
