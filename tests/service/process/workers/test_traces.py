"""Traces of two workers, as a real receiver gets them."""

import urllib.request

import numpy as np

from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start
from tests.kit.server.otlp import attributes, receiving
from tests.kit.server.workers import ask
from tests.kit.waiting import wait_for

_ROWS = np.ones((2, 4), np.float32)
_CALLS = 30


def test_each_worker_sends_its_traces(two_workers: Start, write_model: WriteModel) -> None:
    """Every call arrives once, from one of two instances; the counts are one sum; there are no exemplars."""
    write_model("affine")
    with receiving() as receiver:
        server = two_workers("--trace-endpoint", receiver.address, "--trace-sample", "1")
        for _ in range(_CALLS):
            ask(server, "affine", _ROWS)
        receiver.wait_for("kan_api.v1.PredictionService/Predict", count=_CALLS)
        wait_for(lambda: server.sample("kan_traces_total", result="sent") == _CALLS, "the sum of both workers")
        resources = [resource.resource for message in receiver.messages for resource in message.resource_spans]
        assert len({attributes(each.attributes)["service.instance.id"] for each in resources}) == 2
        assert server.sample("kan_traces_total", result="failed") == 0
        wanted = {"Accept": "application/openmetrics-text"}
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{server.http}/metrics", headers=wanted), timeout=60
        ) as answer:
            text = answer.read().decode()
        assert "kan_request_duration_seconds_bucket" in text
        assert "trace_id" not in text
        code, log = server.stop()
        assert (code, "Traceback" in log) == (0, False)
