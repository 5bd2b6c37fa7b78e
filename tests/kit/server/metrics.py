"""What a server has counted, read over HTTP or from the registry in this process."""

import urllib.request
from collections import Counter
from collections.abc import Iterable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


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
