"""The probes, asked as a kubelet asks them, of a real server in every state that a pod is in.

No program beyond Python is needed: these run with `make test`.
"""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import onnx
import pytest
import yaml
from google.protobuf import json_format
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from onnx import TensorProto, helper, numpy_helper

from kan_api.v1 import manifest_pb2
from service.process.server import start
from service.protocols import health, open_inference, prediction
from service.settings import Settings

KUBERNETES = Path(__file__).parents[3] / "deploy" / "kubernetes"
MODEL = "double"
SERVING = health_pb2.HealthCheckResponse.SERVING


def _container(file: str) -> dict[str, Any]:
    """The container of the Deployment or of the ServingRuntime."""
    spec = yaml.safe_load((KUBERNETES / file).read_text())["spec"]
    (container,) = spec.get("template", {}).get("spec", spec)["containers"]
    return dict(container)


@pytest.fixture(params=["base/deployment.yaml", "kserve/servingruntime.yaml"])
def container(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A container with its probes."""
    return _container(request.param)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with one model: twice its only feature."""
    rows_in = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1])
    rows_out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])
    two = numpy_helper.from_array(np.array([2], np.float32), "two")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["y"])], "double", [rows_in], [rows_out], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data = model.SerializeToString()
    onnx.checker.check_model(model)
    manifest = manifest_pb2.ModelManifest(
        name=MODEL,
        version=1,
        task=manifest_pb2.TASK_REGRESSION,
        inputs=[manifest_pb2.TensorSpec(name="x", datatype="FP32", shape=[-1, 1])],
        outputs=[manifest_pb2.TensorSpec(name="y", datatype="FP32", shape=[-1, 1])],
        columns=[manifest_pb2.Column(name="x")],
        features=[manifest_pb2.Feature(name="x", column="x")],
        files=[manifest_pb2.File(name="model.onnx", sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))],
    )
    folder = tmp_path / "models" / MODEL / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    text = json_format.MessageToJson(
        manifest, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    (folder / "manifest.json").write_text(text)
    return tmp_path / "models"


async def _check(port: int, service: str, seconds: float) -> bool:
    """A gRPC probe: SERVING within the time, by the client that grpcio-health-checking brings."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=seconds)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == SERVING)


def _get(port: int, path: str, seconds: float) -> bool:
    """An HTTP probe: a status from 200 to 399 within the time."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=seconds) as answer:
            return bool(answer.status < 400)
    except urllib.error.HTTPError as error:
        with error:
            return False


async def _passes(probe: dict[str, Any], grpc_port: int, http_port: int) -> bool:
    """Whether a probe passes; its port is taken for the server's of that protocol (test_agreement compares numbers)."""
    if "grpc" in probe:
        return await _check(grpc_port, probe["grpc"].get("service", ""), probe["timeoutSeconds"])
    return await asyncio.to_thread(_get, http_port, probe["httpGet"]["path"], probe["timeoutSeconds"])


def _passing(container: dict[str, Any], models: Path, state: str) -> set[str]:
    """The probes that pass in a state; in it, no health name is SERVING unless readiness passes."""

    async def ask() -> set[str]:
        server = await start(Settings(models=models, grpc_port=0, http_port=0))
        try:
            if state != "loading":
                await server.load()
            if state == "draining":
                await server.registry.drain()
            ports = server.front.port, server.http_port
            names = ("", prediction.SERVICE, open_inference.SERVICE, health.SERVICE, MODEL)
            serving = [name for name in names if await _check(server.front.port, name, 5)]
            probes = ("startupProbe", "livenessProbe", "readinessProbe")
            passing = {name for name in probes if await _passes(container[name], *ports)}
            assert bool(serving) == ("readinessProbe" in passing)
            return passing
        finally:
            await server.stop(grace_seconds=5)

    return asyncio.run(ask())


def test_a_server_that_loads_is_live_and_not_ready(container: dict[str, Any], models: Path) -> None:
    """However long models take, startup and liveness pass; no other health name would do for them."""
    assert _passing(container, models, "loading") == {"startupProbe", "livenessProbe"}


def test_a_server_with_a_model_is_ready(container: dict[str, Any], models: Path) -> None:
    """All three pass."""
    assert _passing(container, models, "ready") == {"startupProbe", "livenessProbe", "readinessProbe"}


def test_a_server_without_models_is_live_and_not_ready(container: dict[str, Any], tmp_path: Path) -> None:
    """An empty repository restarts nothing: it may be filled later."""
    assert _passing(container, tmp_path, "empty") == {"startupProbe", "livenessProbe"}


def test_a_server_that_drains_is_live_and_not_ready(container: dict[str, Any], models: Path) -> None:
    """It gets no new calls, and is not killed while it answers those it has."""
    assert _passing(container, models, "draining") == {"startupProbe", "livenessProbe"}


def _kan_serve(models: Path, variables: dict[str, str]) -> "subprocess.Popen[str]":
    """A kan-serve process with these variables, on free ports."""
    ports = {"KAN_GRPC_PORT": "0", "KAN_HTTP_PORT": "0", "ORT_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "service.cli"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables, **ports, "KAN_MODELS": str(models)},
    )


def _said(process: "subprocess.Popen[str]") -> dict[str, str]:
    """What kan-serve says once it has loaded what there is: grpc, http, models."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("kan-serve "), line
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def test_the_settings_of_the_base_serve_and_stop(models: Path) -> None:
    """With the ConfigMap's variables it gets ready, and SIGTERM ends it well within what is left after preStop."""
    (settings,) = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text())["configMapGenerator"]
    pod = yaml.safe_load((KUBERNETES / "base" / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    container = _container("base/deployment.yaml")
    left = pod["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
    with _kan_serve(models, dict(literal.split("=", 1) for literal in settings["literals"])) as process:
        try:
            words = _said(process)
            ports = [int(words[name].rpartition(":")[2]) for name in ("grpc", "http")]
            assert asyncio.run(_passes(container["readinessProbe"], *ports))
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(left) == 0
            assert time.monotonic() - started < left
        finally:
            process.kill()


@pytest.mark.parametrize(("inside", "served"), [("", f"{MODEL}/1"), (MODEL, "")])
def test_kserves_storage_uri_is_the_repository(models: Path, inside: str, served: str) -> None:
    """What storageUri names lies at KAN_MODELS: the repository serves, one model's folder has no models."""
    variables = {each["name"]: each["value"] for each in _container("kserve/servingruntime.yaml")["env"]}
    with _kan_serve(models / inside, variables) as process:
        try:
            assert _said(process)["models"] == served
        finally:
            process.terminate()
            assert process.wait(20) == 0
