"""compose.tls.yaml and compose.workers.yaml by a real engine, with both front ends."""

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from service.client import TLS, Client, Unavailable
from tests.deploy.compose.conftest import ADDRESS, ROOT, Stack, running_stack
from tests.deploy.compose.test_stack import query
from tests.deploy.engine import Engine
from tests.kit.callers.load import calling
from tests.kit.callers.protocols import KanApi
from tests.kit.server.certificates import Authority, Pair, serial, shown_serial
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
    folder.chmod(0o755)
    _move_in(pair, folder)
    extra = "serve,envoy" if request.param == "envoy" else "serve"
    variables = {"KAN_FRONTEND": request.param, "KAN_EXTRA": extra, "KAN_CERTIFICATES": str(folder)}
    with running_stack(engine, digits, *_OVERLAYS, **variables) as found:
        yield found


@pytest.fixture
def certificates(digits: Path) -> Path:
    """The folder of the host that Envoy reads the certificate from."""
    return digits.parent / "certificates"


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


def test_a_renewed_certificate_is_taken_under_load(stack: Stack, authority: Authority, certificates: Path) -> None:
    """Moved into the mounted folder of the host, it is shown to new connections; no call fails, open connections go on.

    A stream that was open before is answered afterwards, on the connection that it began with.
    """
    trusted, requests = authority.file.read_bytes(), SimpleQueue[bytes | None]()
    request, before = KanApi.request("digits", _ROWS), shown_serial(ADDRESS)
    new = authority.issue("renewed")
    with grpc.secure_channel(ADDRESS, grpc.ssl_channel_credentials(trusted)) as channel:
        method: Any = channel.stream_stream(KanApi.stream_path)
        stream = method(iter(requests.get, None), timeout=300)
        requests.put(request)
        assert KanApi.stream_answer(next(stream))[1] == "OK"
        with calling(ADDRESS, request, trusted=trusted) as load:
            wait_for(lambda: load.answered >= 40, "the callers are answered")
            _move_in(new, certificates)
            wait_for(lambda: shown_serial(ADDRESS) == serial(new.cert.read_bytes()), "the new certificate")
            answered = load.answered
            wait_for(lambda: load.answered >= answered + 40, "the callers are still answered")
        requests.put(request)
        assert KanApi.stream_answer(next(stream))[1] == "OK"
        requests.put(None)
        assert list(stream) == []
    assert load.failures == []
    assert before != shown_serial(ADDRESS)
    with Client(ADDRESS, tls=TLS(authority.file), max_attempts=1) as client:
        assert client.predict("digits", _ROWS).outputs


def _move_in(pair: Pair, folder: Path) -> None:
    """Move a certificate and its key to where Envoy reads them, as docs/compose.md says."""
    for file in (pair.cert, pair.key):
        new = folder / f"new{file.suffix}"
        new.write_bytes(file.read_bytes())
        new.chmod(0o644)
        new.rename(folder / f"tls{file.suffix}")


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
