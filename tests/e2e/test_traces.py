"""From a slow bucket in a real Prometheus to the trace of a call in it."""

import json
import urllib.parse
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from tests.kit.callers.protocols import KanApi
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import get, serving
from tests.kit.server.otlp import receiving
from tests.kit.server.programs import find_program, running
from tests.kit.waiting import wait_for

_CONFIG = """
global: {{scrape_interval: 250ms}}
scrape_configs:
  - job_name: kan
    static_configs: [{{targets: ["{http}"]}}]
"""


def test_an_exemplar_in_prometheus_names_a_trace_that_was_sent(tmp_path: Path) -> None:
    """Prometheus takes the exemplars of all three histograms; their trace is the one that the receiver has."""
    program = find_program("prometheus")
    write_version(tmp_path / "models", "affine")
    with receiving() as receiver:
        flags = ("--trace-endpoint", receiver.address, "--trace-sample", "1")
        with serving(tmp_path / "models", *flags, log=tmp_path / "kan-serve.log") as server:
            with grpc.insecure_channel(server.grpc) as channel:
                method: Any = channel.unary_unary(KanApi.path)
                method(KanApi.request("affine", np.ones((1, 4), np.float32)), timeout=60)
            (span,) = receiver.wait_for(KanApi.path.removeprefix("/"))
            (tmp_path / "prometheus.yml").write_text(_CONFIG.format(http=server.metrics))
            command = (
                program,
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--enable-feature=exemplar-storage",
            )
            with running(*command, log=tmp_path / "prometheus.log") as line_with:
                address = line_with('msg="Listening on"').split("address=")[1].split()[0]
                for name in ("request", "queue", "compute"):
                    series = f'kan_{name}_duration_seconds_bucket{{model="affine"}}'
                    found = wait_for(partial(_exemplars, address, series), f"exemplars of {series}")
                    assert {each["labels"]["trace_id"] for each in found} == {span.trace_id.hex()}


def _exemplars(address: str, series: str) -> list[Any]:
    """The exemplars of a series that Prometheus has; none while it starts."""
    query = urllib.parse.urlencode({"query": series, "start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"})
    status, text = get(address, f"/api/v1/query_exemplars?{query}")
    assert status in (200, 503), text
    return [each for one in json.loads(text)["data"] for each in one["exemplars"]] if status == 200 else []
