"""The probes, asked as a kubelet asks them, of a real server in every state that a pod is in.

No program beyond Python is needed: these run with `make test`.
"""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import yaml
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from service.process.server import start
from service.protocols import health, open_inference, prediction
from service.settings import Settings
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import get, serving, stop_here

KUBERNETES = Path(__file__).parents[3] / "deploy" / "kubernetes"
MODEL = "affine"
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
    """A repository with one model."""
    write_version(tmp_path / "models", MODEL)
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


async def _passes(probe: dict[str, Any], grpc_port: int, http_port: int) -> bool:
    """Whether a probe passes; its port is taken for the server's of that protocol (test_agreement compares numbers)."""
    if "grpc" in probe:
        return await _check(grpc_port, probe["grpc"].get("service", ""), probe["timeoutSeconds"])
    address, path = f"127.0.0.1:{http_port}", probe["httpGet"]["path"]
    return (await asyncio.to_thread(get, address, path, probe["timeoutSeconds"]))[0] < 400


def _passing(container: dict[str, Any], models: Path, state: str) -> set[str]:
    """The probes that pass in a state; in it, no health name is SERVING unless readiness passes."""

    async def ask() -> set[str]:
        server = await start(Settings(models=models, grpc_port=0, http_port=0))
        try:
            if state != "loading":
                await server.load()
            if state == "draining":
                await server.registry.drain()
            assert server.http is not None
            ports = server.front.port, server.http.port
            names = ("", prediction.SERVICE, open_inference.SERVICE, health.SERVICE, MODEL)
            serving = [name for name in names if await _check(server.front.port, name, 5)]
            probes = ("startupProbe", "livenessProbe", "readinessProbe")
            passing = {name for name in probes if await _passes(container[name], *ports)}
            assert bool(serving) == ("readinessProbe" in passing)
            return passing
        finally:
            await stop_here(server, grace_seconds=5)

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


def test_the_settings_of_the_base_serve_and_stop(models: Path, tmp_path: Path) -> None:
    """With the ConfigMap's variables it gets ready, and SIGTERM ends it well within what is left after preStop."""
    (settings,) = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text())["configMapGenerator"]
    pod = yaml.safe_load((KUBERNETES / "base" / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    container = _container("base/deployment.yaml")
    left = pod["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
    variables = dict(literal.split("=", 1) for literal in settings["literals"])
    with serving(models, log=tmp_path / "log", **variables) as server:
        ports = [int(address.rpartition(":")[2]) for address in (server.grpc, server.http)]
        assert asyncio.run(_passes(container["readinessProbe"], *ports))
        assert server.stop(left)[0] == 0


@pytest.mark.parametrize(("inside", "served"), [("", f"{MODEL}/1"), (MODEL, "")])
def test_kserves_storage_uri_is_the_repository(models: Path, tmp_path: Path, inside: str, served: str) -> None:
    """What storageUri names lies at KAN_MODELS: the repository serves, one model's folder has no models."""
    variables = {each["name"]: each["value"] for each in _container("kserve/servingruntime.yaml")["env"]}
    with serving(models / inside, log=tmp_path / "log", ready=bool(served), **variables) as server:
        assert server.served == served
