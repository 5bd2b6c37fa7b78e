"""deploy/envoy before one replica with two workers: calls are spread over connections, and so over both workers."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from deploy.envoy.variants import WORKERS_CALLS_AT_ONCE
from tests.deploy.envoy.conftest import Front, Replica, fronted
from tests.kit.server.kan_serve import FRONTENDS
from tests.kit.server.programs import free_ports
from tests.kit.server.workers import rows_by_worker, wait_for_workers, workers
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.deploy


@pytest.fixture(params=FRONTENDS)
def two_workers(request: pytest.FixtureRequest, digits: Path, tmp_path: Path) -> Iterator[Front]:
    """Envoy before one replica with two workers."""
    flags = ("--workers", "2", "--max-streams", "128", "--frontend", str(request.param))
    grpc_port, http_port = free_ports(2)
    replica = Replica(digits, grpc_port, http_port, tmp_path / "replica.log", flags)
    with fronted((replica,), tmp_path, "workers/envoy.yaml") as front:
        yield front


def test_calls_of_one_connection_reach_both_workers(two_workers: Front) -> None:
    """128 streams of one caller's connection are open at once: 32 connections carry them, and both workers answer.

    When the caller has gone, the connections are closed.
    """
    streams, over = 128, threading.Event()
    server = two_workers.replicas[0].running()

    def requests() -> Iterator[bytes]:
        yield two_workers.request()
        over.wait()

    with ExitStack() as stack:
        channel = stack.enter_context(grpc.insecure_channel(two_workers.address))
        stack.callback(over.set)
        method: Any = cast(Any, channel.stream_stream("/kan_api.v1.PredictionService/PredictStream"))
        calls = [method(requests(), timeout=60) for _ in range(streams)]
        assert all(next(call) for call in calls)
        connections = streams / WORKERS_CALLS_AT_ONCE
        wait_for(lambda: two_workers.statistic("envoy_cluster_upstream_cx_active") == connections, "all connections")
        of_workers = rows_by_worker(server, "digits")
        assert 0 < min(of_workers) <= max(of_workers) < streams
        assert of_workers == {streams - rows for rows in of_workers}
    wait_for(lambda: two_workers.statistic("envoy_cluster_upstream_cx_active") == 0, "the end of the connections")


def test_a_worker_that_starts_again_gets_calls(two_workers: Front) -> None:
    """Connections end after some calls. So the next worker gets some, although the other one had all for a time.

    Envoy asks once more, by chance on another connection of the killed worker. A client then repeats the call.
    """
    server, callers = two_workers.replicas[0].running(), 8
    with two_workers.load(callers) as found:
        wait_for(lambda: found.answered > 100, "calls are answered")
        workers(server)[0].kill()
        wait_for_workers(server, 2, restarts=1)
        wait_for(lambda: min(rows_by_worker(server, "digits")) > 0, "the next worker is called")
    assert len(found.failures) <= callers
    assert all(each.startswith("UNAVAILABLE") for each in found.failures), found.failures
