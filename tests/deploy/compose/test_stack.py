"""deploy/compose.yaml by a real engine: built, started, called through Envoy, broken, restarted and stopped."""

import json
import os
import re
import signal
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from service.client import Client
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
ADDRESS, PROMETHEUS = "127.0.0.1:8001", "http://127.0.0.1:9090"


def query(expression: str) -> dict[str, float]:
    """The values of an expression, by instance."""
    address = f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(address, timeout=60) as answer:
        result = json.load(answer)["data"]["result"]
    return {each["metric"].get("instance", ""): float(each["value"][1]) for each in result}


def test_it_predicts_through_envoy(stack: Any) -> None:
    """Answers from the host are those of the model's graph in onnxruntime here."""
    rows = np.random.default_rng(0).uniform(0, 16, (50, 64)).astype(np.float32)
    (graph,) = stack.models.glob("digits/*/model.onnx")
    session = onnxruntime.InferenceSession(graph.read_bytes())
    with Client(ADDRESS) as client:
        answer = client.predict("digits", rows)
    (probabilities,) = answer.outputs.values()
    np.testing.assert_allclose(probabilities, session.run(None, {session.get_inputs()[0].name: rows})[0], atol=1e-5)


def test_a_newcomer_predicts_by_the_documented_commands(stack: Any) -> None:
    """With Docker alone, and from the clone after `make demo`: rows that training never saw, and how good that is."""
    for command, folder in (
        ("exec kan-serve kan-client predict", ROOT),
        (".venv/bin/kan-client predict", stack.models.parent),
    ):
        found = re.search(r"accuracy (0\.\d+)", stack.documented(command, folder))
        assert found is not None
        assert float(found[1]) > 0.9
    assert "digits" in stack.documented("-f deploy/compose.yaml exec kan-serve kan-client models")


def test_runbooks_can_be_followed(stack: Any) -> None:
    """What answers through Envoy, and what one instance says of itself, by the documented commands."""
    assert "digits" in stack.documented("kan-client models --address envoy:8001")
    assert stack.documented("c.request('GET', '/readyz')").strip() == "ok"


def test_going_back_by_the_documented_command(stack: Any, load: Any) -> None:
    """Of two versions the newest is withdrawn: replicas answer with the one before, and no call fails."""
    publish = (
        'cd /models/digits && cp -r 1 .2 && sed -i \'s/"version": "1"/"version": "2"/\' .2/manifest.json && mv .2 2'
    )
    with load() as found:
        stack.compose("run", "--rm", "-T", "--entrypoint", "sh", "train", "-c", publish)
        wait_for(lambda: stack.versions() == ["2", "2"], "both have the new version")
        stack.documented("train rollback digits --models /models")
        wait_for(lambda: stack.versions() == ["1", "1"], "both are back")
        answered = found.answered
        wait_for(lambda: found.answered > answered + 100, "calls afterwards")
    assert found.failures == []


def test_every_call_may_go_to_any_replica(stack: Any, load: Any) -> None:
    """One connection's calls reach both replicas; Prometheus scrapes both, Envoy, itself and Alertmanager."""
    with load():
        wait_for(lambda: len(query('rate(kan_requests_total{model="digits"}[1m]) > 0')) == 2, "both are called")
    targets = json.load(urllib.request.urlopen(f"{PROMETHEUS}/api/v1/targets", timeout=60))["data"]["activeTargets"]
    jobs = sorted(target["labels"]["job"] for target in targets)
    assert jobs == ["alertmanager", "kan-envoy", "kan-serve", "kan-serve", "prometheus"]
    assert {target["health"] for target in targets} == {"up"}, [target["lastError"] for target in targets]


def test_rules_are_loaded_and_alertmanager_is_known(stack: Any) -> None:
    """Every rule file is evaluated without an error; no page fires on a stack that is well."""
    groups = json.load(urllib.request.urlopen(f"{PROMETHEUS}/api/v1/rules", timeout=60))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["type"] for rule in rules} == {"alerting", "recording"}
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    firing = [
        rule["name"]
        for rule in rules
        if rule.get("state") == "firing" and rule.get("labels", {}).get("severity") == "page"
    ]
    assert firing == []
    known = json.load(urllib.request.urlopen(f"{PROMETHEUS}/api/v1/alertmanagers", timeout=60))["data"]
    assert [each["url"] for each in known["activeAlertmanagers"]] == ["http://alertmanager:9093/api/v2/alerts"]


def test_nothing_can_be_written_or_gained(stack: Any) -> None:
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


def test_the_image_is_small_and_holds_no_torch(stack: Any) -> None:
    """At most 350 MB; [serve] alone; nobody's user; telemetry off; health by the plain port."""
    (image,) = json.loads(stack.engine.docker("image", "inspect", "kan-serving:local"))
    assert image["Size"] <= 350e6, image["Size"]
    config = image["Config"]
    assert config["User"] == "10001:10001"
    assert "ORT_DISABLE_TELEMETRY=1" in config["Env"]
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "python", "-c"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    packages = stack.compose("exec", "-T", "kan-serve", "python", "-m", "pip", "list").lower()
    assert "onnxruntime" in packages
    assert not {"torch", "sympy", "matplotlib", "pyvoy"} & set(packages.split())


def test_a_killed_replica_comes_back_and_no_call_fails(stack: Any, load: Any) -> None:
    """SIGKILL on one process while calls are in flight: Envoy asks the other one, and the engine starts it again."""
    container = stack.containers("kan-serve")[0]
    with load() as found:
        os.kill(stack.inspect(container)["State"]["Pid"], signal.SIGKILL)
        wait_for(lambda: bool(stack.inspect(container)["RestartCount"] == 1), "it is started again")
        stack.await_healthy(container)
        answered = found.answered
        wait_for(lambda: found.answered > answered + 100, "calls after its return")
    assert found.failures == []


def test_a_rolling_restart_fails_no_call(stack: Any, load: Any) -> None:
    """One replica after the other drains, ends and returns under load; callers notice nothing."""
    with load() as found:
        for container in stack.containers("kan-serve"):
            stack.await_balanced(2)
            stack.engine.docker("restart", "--time", "45", container)
            stack.await_healthy(container)
            wanted = found.answered + 100
            wait_for(lambda wanted=wanted: bool(found.answered > wanted), "calls after its return")  # type: ignore[misc]
    assert found.failures == []
    assert found.answered > 500


def test_stop_drains(stack: Any, load: Any) -> None:
    """`compose stop` under load: every service ends by itself, with 0; Envoy loses no call that it took."""
    began = time.monotonic()
    with load() as found:
        stack.compose("stop", timeout=200)
    assert time.monotonic() - began < 90
    # Who comes later finds nobody; the second was told to go before the call had a stream.
    not_taken = ("failed to connect", "GOAWAY received")
    assert [each for each in found.failures if not any(words in each for words in not_taken)] == []
    for service in ("kan-serve", "envoy", "prometheus", "alertmanager"):
        for container in stack.containers(service):
            state = stack.inspect(container)["State"]
            assert (state["ExitCode"], state["OOMKilled"]) == (0, False), service
