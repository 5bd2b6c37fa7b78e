"""compose.tls.yaml and compose.workers.yaml by a real engine, with both front ends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from service.client import TLS, Client, Unavailable
from tests.deploy.compose.conftest import ADDRESS, ROOT, Stack, running_stack
from tests.deploy.compose.test_stack import query
from tests.deploy.engine import Engine
from tests.kit.callers.protocols import KanApi
from tests.kit.server.certificates import Authority
from tests.kit.server.kan_serve import FRONTENDS
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]

_OVERLAYS = [ROOT / "deploy" / f"compose.{name}.yaml" for name in ("tls", "workers")]
_ROWS = np.zeros((1, 64), np.float32)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs Envoy's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=FRONTENDS, scope="module")
def stack(request: pytest.FixtureRequest, engine: Engine, digits: Path, authority: Authority) -> Iterator[Stack]:
    """Two overlays and nothing else: TLS, and two workers a replica."""
    pair = authority.issue("server")
    folder = digits.parent / "certificates"
    folder.mkdir(exist_ok=True)
    (folder / "tls.crt").write_bytes(pair.cert.read_bytes())
    (folder / "tls.key").write_bytes(pair.key.read_bytes())
    for path in (folder, *folder.iterdir()):
        path.chmod(path.stat().st_mode | 0o055)
    extra = "serve,envoy" if request.param == "envoy" else "serve"
    variables = {"KAN_FRONTEND": request.param, "KAN_EXTRA": extra, "KAN_CERTIFICATES": str(folder)}
    with running_stack(engine, digits, *_OVERLAYS, **variables) as found:
        yield found


def test_callers_are_let_in_by_tls_alone(stack: Stack, authority: Authority) -> None:
    """A call over TLS is answered through Envoy; one in plain text is not."""
    with Client(ADDRESS, tls=TLS(authority.file), max_attempts=1) as client:
        (values,) = client.predict("digits", _ROWS).outputs.values()
        assert len(values) == 1
    with Client(ADDRESS, max_attempts=1) as client, pytest.raises(Unavailable):
        client.predict("digits", _ROWS)


def test_each_replica_has_two_workers_and_their_resources(stack: Stack) -> None:
    """Prometheus counts two workers a replica; the engine gives each replica two cores and 3 GiB."""
    wait_for(lambda: list(query("kan_workers").values()) == [2, 2], "two workers of two replicas")
    for container in stack.containers("kan-serve"):
        host = stack.inspect(container)["HostConfig"]
        assert (host["NanoCpus"], host["Memory"]) == (2e9, 3 * 2**30)


def test_both_workers_of_a_replica_answer(stack: Stack, authority: Authority) -> None:
    """With 128 calls at a time from one connection each worker computes: none is left without calls by Envoy."""
    before = _worker_seconds(stack)
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with grpc.secure_channel(ADDRESS, credentials) as channel:
        method: Any = channel.unary_unary(KanApi.path)
        for _ in range(50):
            for call in [method.future(KanApi.request("digits", _ROWS), timeout=60) for _ in range(128)]:
                assert call.result()
    spent = [after - before[pid] for pid, after in _worker_seconds(stack).items()]
    assert len(spent) == 4
    # 64 calls open 16 connections to a replica, which the kernel spreads by chance.
    assert min(spent) >= 0.02 * sum(spent), spent


def _worker_seconds(stack: Stack) -> dict[int, float]:
    """Processor time of each worker of each replica."""
    found: dict[int, float] = {}
    for container in stack.containers("kan-serve"):
        parent = psutil.Process(stack.inspect(container)["State"]["Pid"])
        for worker in parent.children():
            if worker.children() or worker.num_threads() > 1:
                processes = [worker, *worker.children()]
                found[worker.pid] = sum(sum(each.cpu_times()[:2]) for each in processes)
    return found
