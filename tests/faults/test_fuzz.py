"""Fuzzing that follows coverage, by libFuzzer; what hypothesis thinks of is in tests/service/protocols/test_fuzz.py."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from kan_api.v1 import prediction_pb2
from open_inference import grpc_predict_v2_pb2
from tests.kit.callers.protocols import PROTOCOLS

pytestmark = pytest.mark.faults

_SECONDS = 15
_SCRIPT = Path(__file__).with_name("fuzz_methods.py")
_ROW = np.ones((1, 4), np.float32)


def test_no_bytes_make_a_method_fail(models: Path, publish_version: Callable[..., Path], tmp_path: Path) -> None:
    """Whatever bytes come at any unary method: an answer or a status that is not INTERNAL, and no memory held."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (the extra [faults]; it has wheels for Linux on x86-64)")
    publish_version("kan")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(_seeds()):
        for method in range(32):
            (corpus / f"{number}-{method}").write_bytes(bytes([method]) + seed)
    command = [sys.executable, str(_SCRIPT), str(models), f"-max_total_time={_SECONDS}", "-max_len=512"]
    done = subprocess.run(
        [*command, "-timeout=60", "-rss_limit_mb=1024", f"-artifact_prefix={tmp_path}/", str(corpus)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    seen = f"{done.stdout[-1000:]}\n{done.stderr[-5000:]}"
    assert done.returncode == 0, seen
    assert {each.path for each in PROTOCOLS} < set(done.stdout.split()), seen
    runs = re.search(r"^Done (\d+) runs", done.stderr, re.MULTILINE)
    assert runs, seen
    assert int(runs[1]) > 1_000, seen


def _seeds() -> list[bytes]:
    """Messages that are right, for whichever method they are sent to."""
    infer = {"name": "x", "datatype": "FP64", "shape": [1, 4], "contents": {"fp64_contents": [1] * 4}}
    messages: list[Message] = [
        prediction_pb2.PredictRequest(model="kan", features=prediction_pb2.Matrix(rows=1, columns=4, values=[1] * 4)),
        prediction_pb2.GetModelRequest(model="kan", version=1),
        grpc_predict_v2_pb2.ModelInferRequest(model_name="kan", inputs=[infer], outputs=[{"name": "y"}]),
        grpc_predict_v2_pb2.ModelMetadataRequest(name="kan", version="1"),
        health_pb2.HealthCheckRequest(service="kan"),
    ]
    return [
        b"",
        *(each.request("kan", _ROW, "id") for each in PROTOCOLS),
        *(one.SerializeToString() for one in messages),
    ]
