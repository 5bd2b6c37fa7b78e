"""A real Prometheus scrapes a real server."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.client import Client
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import KanServe, serving
from tests.kit.server.programs import find_program, running
from tests.kit.waiting import wait_for

# It waits for a program that scrapes when it does.
pytestmark = pytest.mark.slow

CONFIG = """
global: {{scrape_interval: 250ms}}
scrape_configs:
  - job_name: kan
    static_configs: [{{targets: ["{http}"]}}]
"""
REQUESTS, ROWS = 20, 8


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KanServe]:
    """A kan-serve of one model of four columns."""
    write_version(tmp_path / "models", "affine")
    with serving(tmp_path / "models", log=tmp_path / "log") as started:
        yield started


@pytest.fixture
def prometheus(server: KanServe, tmp_path: Path) -> Iterator[str]:
    """Prometheus on a free port of loopback, scraping the server; its base address."""
    program = find_program("prometheus")
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(http=server.metrics))
    with running(
        program,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        log=tmp_path / "prometheus.log",
    ) as line_with:
        # With port 0, only its log says which port it got.
        yield "http://" + line_with('msg="Listening on"').split("address=")[1].split()[0]


def test_prometheus_sees_requests_and_their_latency(server: KanServe, prometheus: str) -> None:
    """After a short load, counters, the p99 and rows per batch are there, under the design's names and labels."""
    with Client(server.grpc, 60) as client:
        for _ in range(REQUESTS):
            client.predict("affine", np.zeros((ROWS, 4), np.float32))
    labels = 'model="affine",version="1"'
    assert query(prometheus, f'kan_requests_total{{{labels},protocol="kan_api",code="OK"}}', at_least=REQUESTS)
    p99 = query(
        prometheus,
        f"histogram_quantile(0.99, sum by (le) (kan_request_duration_seconds_bucket{{{labels}}}))",
        at_least=0,
    )
    assert 25e-6 < p99 < 10
    assert query(prometheus, f"kan_request_rows_sum{{{labels}}}", at_least=REQUESTS * ROWS)
    assert query(prometheus, f"kan_model_ready{{{labels}}}", at_least=1) == 1
    assert query(prometheus, "kan_build_info", at_least=1) == 1
    assert query(prometheus, 'up{job="kan"}', at_least=1) == 1


def query(prometheus: str, expression: str, at_least: float) -> float:
    """The expression's only value, once it is there and large enough; polled, since scrapes come when they come."""
    address = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    values: list[float] = []

    def large_enough() -> bool:
        try:
            with urllib.request.urlopen(address, timeout=60) as response:
                values[:] = [float(each["value"][1]) for each in json.load(response)["data"]["result"]]
        except urllib.error.HTTPError as error:
            if error.code != 503:  # Prometheus listens before it is ready.
                raise
        return len(values) == 1 and values[0] >= at_least

    wait_for(large_enough, f"one value of {expression} of at least {at_least}", 300)
    return values[0]
