"""A real Prometheus scrapes a real server."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from service.client import Client

# It trains digits.
pytestmark = pytest.mark.slow

CONFIG = """
global: {{scrape_interval: 250ms}}
scrape_configs:
  - job_name: kan
    static_configs: [{{targets: ["{http}"]}}]
"""
REQUESTS, ROWS = 20, 8


class Digits(Protocol):
    """What the fixture of conftest.py gives."""

    grpc: str
    http: str


@pytest.fixture
def prometheus(digits: Digits, tmp_path: Path) -> Iterator[str]:
    """Prometheus on a free port of loopback, scraping the digits server; its base address."""
    program = shutil.which("prometheus")
    if program is None:
        assert "CI" not in os.environ, "prometheus is not installed; .ci/run installs it"
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(http=digits.http))
    command = [
        program,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            # With port 0, only its log says which port it got.
            line = next(line for line in process.stderr if 'msg="Listening on"' in line)
            yield f"http://{line.split('address=')[1].split()[0]}"
        finally:
            process.terminate()
            # What it logs while stopping must not fill the pipe.
            process.stderr.read()
            process.wait(30)


def test_prometheus_sees_requests_and_their_latency(digits: Digits, prometheus: str) -> None:
    """After a short load, counters, the p99 and rows per batch are there, under the design's names and labels."""
    with Client(digits.grpc) as client:
        for _ in range(REQUESTS):
            client.predict("digits", np.zeros((ROWS, 64), np.float32))
    labels = 'model="digits",version="1"'
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
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(address, timeout=60) as response:
                result = json.load(response)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code != 503:  # Prometheus listens before it is ready.
                raise
            result = []
        if len(result) == 1 and float(result[0]["value"][1]) >= at_least:
            return float(result[0]["value"][1])
        assert time.monotonic() < deadline, f"{expression} gave {result}; wanted one value of at least {at_least}"
        # Not a wait for a state of ours: a pause between two questions to another program.
        time.sleep(0.1)
