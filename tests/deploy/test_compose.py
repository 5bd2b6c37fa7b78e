"""deploy/compose.yaml by a real engine: built, started, called through Envoy, broken, restarted and stopped."""

import json
import os
import signal
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import grpc
import numpy as np
import onnxruntime
import pytest

from kan_api.v1 import prediction_pb2 as pb
from service.client import Client

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
FILES = ("-f", str(ROOT / "deploy/compose.yaml"), "-f", str(ROOT / "tests/deploy/compose.ci.yaml"))
ADDRESS, PROMETHEUS, ALERTMANAGER = "127.0.0.1:8001", "http://127.0.0.1:9090", "http://127.0.0.1:9093"
CALLERS = 4
_PREDICT = "/kan_api.v1.PredictionService/Predict"


class Engine(Protocol):
    """What the fixture of conftest.py gives."""

    environment: dict[str, str]

    def docker(self, *arguments: str, timeout: float = 120, check: bool = True) -> str: ...


@dataclass(frozen=True)
class Stack:
    """All services, up and healthy."""

    engine: Engine
    models: Path

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        """Run one command of compose."""
        return self.engine.docker("compose", *FILES, *arguments, timeout=timeout)

    def containers(self, service: str) -> list[str]:
        """Their ids."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        """All that the engine knows of it."""
        (found,) = json.loads(self.engine.docker("inspect", container))
        return dict(found)

    def await_healthy(self, container: str) -> None:
        """Until its health check passes."""
        wait_until(
            lambda: self.inspect(container)["State"].get("Health", {}).get("Status") == "healthy",
            f"{container} healthy",
        )


@pytest.fixture(scope="module")
def stack(engine: Engine, digits: Path) -> Iterator[Stack]:
    """`up --wait`, with a model that the host trained; afterwards all of it is gone."""
    os.environ["KAN_PUBLISHED"] = str(digits)
    found = Stack(engine, digits)
    try:
        found.compose("up", "--build", "--wait", timeout=500)
        yield found
    finally:
        found.compose("down", "--volumes", "--timeout", "10")
        del os.environ["KAN_PUBLISHED"]


@dataclass
class Load:
    """Callers that never try again, and what became of their calls."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def load() -> Iterator[Load]:
    """Callers that ask without a pause, until the block ends."""
    found, over, lock = Load(), threading.Event(), threading.Lock()
    request = pb.PredictRequest(
        model="digits", features=pb.Matrix(rows=1, columns=64, values=[0.0] * 64)
    ).SerializeToString()

    def call() -> None:
        with grpc.insecure_channel(
            ADDRESS, [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            predict: Callable[..., bytes] = channel.unary_unary(_PREDICT)
            while not over.is_set():
                try:
                    predict(request, timeout=30)
                except grpc.RpcError as error:
                    with lock:
                        found.failures.append(f"{error.code()}: {error.details()}")
                else:
                    with lock:
                        found.answered += 1

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        try:
            wait_until(lambda: found.answered >= 10 * CALLERS, "the callers are answered")
            yield found
        finally:
            over.set()
    for each in calls:
        each.result()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Ask again and again, other programs being as fast as they are."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


def query(expression: str) -> dict[str, float]:
    """The values of an expression, by instance."""
    address = f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    return {each["metric"].get("instance", ""): float(each["value"][1]) for each in result}


def test_it_predicts_through_envoy(stack: Stack) -> None:
    """Answers from the host are those of the model's graph in onnxruntime here."""
    rows = np.random.default_rng(0).uniform(0, 16, (50, 64)).astype(np.float32)
    (graph,) = stack.models.glob("digits/*/model.onnx")
    session = onnxruntime.InferenceSession(graph.read_bytes())
    with Client(ADDRESS) as client:
        answer = client.predict("digits", rows)
    (probabilities,) = answer.outputs.values()
    np.testing.assert_allclose(probabilities, session.run(None, {session.get_inputs()[0].name: rows})[0], atol=1e-5)


def test_every_call_may_go_to_any_replica(stack: Stack) -> None:
    """One connection's calls reach both replicas; Prometheus scrapes both, Envoy, itself and Alertmanager."""
    with load():
        wait_until(lambda: len(query('rate(kan_requests_total{model="digits"}[1m]) > 0')) == 2, "both are called")
    targets = json.load(urllib.request.urlopen(f"{PROMETHEUS}/api/v1/targets", timeout=10))["data"]["activeTargets"]
    jobs = sorted(target["labels"]["job"] for target in targets)
    assert jobs == ["alertmanager", "envoy", "kan-serve", "kan-serve", "prometheus"]
    assert {target["health"] for target in targets} == {"up"}, [target["lastError"] for target in targets]


def test_rules_are_loaded_and_alertmanager_is_known(stack: Stack) -> None:
    """Every rule file is evaluated without an error; no page fires on a stack that is well."""
    groups = json.load(urllib.request.urlopen(f"{PROMETHEUS}/api/v1/rules", timeout=10))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["type"] for rule in rules} == {"alerting", "recording"}
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    firing = [
        rule["name"]
        for rule in rules
        if rule.get("state") == "firing" and rule.get("labels", {}).get("severity") == "page"
    ]
    assert firing == []
    known = json.load(urllib.request.urlopen(f"{PROMETHEUS}/api/v1/alertmanagers", timeout=10))["data"]
    assert [each["url"] for each in known["activeAlertmanagers"]] == ["http://alertmanager:9093/api/v2/alerts"]


def test_nothing_can_be_written_or_gained(stack: Stack) -> None:
    """Read-only roots, no capabilities, no new privileges, users that are not root, limits, loopback ports."""
    for service in ("kan-serve", "envoy", "prometheus", "alertmanager"):
        for container in stack.containers(service):
            found = stack.inspect(container)
            host = found["HostConfig"]
            assert host["ReadonlyRootfs"], service
            assert host["CapDrop"] == ["ALL"], service
            assert "no-new-privileges:true" in host["SecurityOpt"], service
            assert host["Memory"] > 0, service
            assert host["NanoCpus"] > 0, service
            assert stack.engine.docker("exec", container, "id", "-u") != "0", service
            assert "Read-only" in stack.engine.docker("exec", container, "sh", "-c", "touch /x || true"), service
            published = [each for ports in host["PortBindings"].values() for each in ports or ()]
            assert {each["HostIp"] for each in published} <= {"127.0.0.1"}, service


def test_the_image_is_small_and_holds_no_torch(stack: Stack) -> None:
    """At most 350 MB; [serve] alone; nobody's user; telemetry off; our own health client."""
    (image,) = json.loads(stack.engine.docker("image", "inspect", "kan-serving:local"))
    assert image["Size"] <= 350e6, image["Size"]
    config = image["Config"]
    assert config["User"] == "10001:10001"
    assert "ORT_DISABLE_TELEMETRY=1" in config["Env"]
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "kan-client", "health"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    packages = stack.compose("exec", "-T", "kan-serve", "python", "-m", "pip", "list").lower()
    assert "onnxruntime" in packages
    assert not {"torch", "sympy", "matplotlib", "pyvoy"} & set(packages.split())


def test_a_killed_replica_comes_back_and_no_call_fails(stack: Stack) -> None:
    """SIGKILL on one process while calls are in flight: Envoy asks the other one, and the engine starts it again."""
    container = stack.containers("kan-serve")[0]
    with load() as found:
        os.kill(stack.inspect(container)["State"]["Pid"], signal.SIGKILL)
        wait_until(lambda: bool(stack.inspect(container)["RestartCount"] == 1), "it is started again")
        stack.await_healthy(container)
        answered = found.answered
        wait_until(lambda: found.answered > answered + 100, "calls after its return")
    assert found.failures == []


def test_a_rolling_restart_fails_no_call(stack: Stack) -> None:
    """One replica after the other drains, ends and returns under load; callers notice nothing."""
    with load() as found:
        for container in stack.containers("kan-serve"):
            stack.engine.docker("restart", "--time", "45", container)
            stack.await_healthy(container)
            answered = found.answered
            wait_until(lambda before=answered: found.answered > before + 100, "calls after its return")  # type: ignore[misc]
    assert found.failures == []
    assert found.answered > 500


def test_stop_drains(stack: Stack) -> None:
    """`compose stop` under load ends every service by itself: exit code 0, no kill, within the grace period."""
    began = time.monotonic()
    with load():
        stack.compose("stop", timeout=200)
    assert time.monotonic() - began < 90
    for service in ("kan-serve", "envoy", "prometheus", "alertmanager"):
        for container in stack.containers(service):
            state = stack.inspect(container)["State"]
            assert (state["ExitCode"], state["OOMKilled"]) == (0, False), service
