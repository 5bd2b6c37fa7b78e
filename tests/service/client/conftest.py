"""What a server has counted."""

import urllib.request
from collections import Counter
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families


class Metrics:
    """The metrics of a server, by its HTTP address."""

    def codes(self, http: str, model: str) -> Counter[str]:
        """How many requests to a model got each status; statuses without a request are absent."""
        found: Counter[str] = Counter()
        for sample in self._samples(http, "kan_requests"):
            if sample.name == "kan_requests_total" and sample.labels["model"] == model:
                found[sample.labels["code"]] += int(sample.value)
        return +found

    def runs(self, http: str, model: str) -> int:
        """How often a model was run."""
        found = (sample for sample in self._samples(http, "kan_batch_rows") if sample.name == "kan_batch_rows_count")
        return int(sum(sample.value for sample in found if sample.labels["model"] == model))

    def taken(self, http: str, model: str) -> int:
        """How many requests to a model were taken into its queue."""
        found = (one for one in self._samples(http, "kan_request_rows") if one.name == "kan_request_rows_count")
        return int(sum(sample.value for sample in found if sample.labels["model"] == model))

    def waiting_rows(self, http: str) -> int:
        """How many rows wait for a run."""
        return int(sum(sample.value for sample in self._samples(http, "kan_queue_rows")))

    def _samples(self, http: str, family: str) -> list[Any]:
        with urllib.request.urlopen(f"http://{http}/metrics") as response:
            families = text_string_to_metric_families(response.read().decode())
            return [sample for found in families if found.name == family for sample in found.samples]


@pytest.fixture
def metrics() -> Metrics:
    """Reads what a server has counted."""
    return Metrics()
