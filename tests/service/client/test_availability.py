"""Servers that start late, stop or are busy: which calls are retried, and what callers notice."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from service.client import AsyncClient, Client, DeadlineExceeded, Health, Overloaded, Unavailable
from service.process.server import start
from service.settings import Settings
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, Start, serving, stop_here
from tests.kit.server.metrics import codes
from tests.kit.server.programs import free_ports
from tests.kit.waiting import seconds_until, wait_for

ROWS: NDArray[np.float32] = np.ones((2, 4), np.float32)
CALLERS = 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine and of a version that it refuses, broken; the tests that stop no server share it."""
    folder = tmp_path_factory.mktemp("shared")
    write_version(folder / "models", "affine")
    (write_version(folder / "models", "affine", name="broken") / "model.onnx").write_bytes(b"no model")
    with serving(folder / "models", log=folder / "log") as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_one_of_two_servers_stops_and_no_call_fails(
    kan_serve: Start, write_model: WriteModel, how: signal.Signals
) -> None:
    """Drained or killed while many call: the other server answers, and no caller notices."""
    write_model("affine")
    servers = [kan_serve(), kan_serve()]
    stopped = threading.Event()

    def call() -> int:
        calls = 0
        while not stopped.is_set():
            client.predict("affine", ROWS)
            calls += 1
        for _ in range(20):
            client.predict("affine", ROWS)
        return calls

    with Client([server.grpc for server in servers]) as client, ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call) for _ in range(CALLERS)]
        try:
            # Both are called, however long the second connection takes.
            while min(codes(server.metrics, "affine")["OK"] for server in servers) < CALLERS:
                assert not any(caller.done() for caller in callers)
            servers[0].process.send_signal(how)
            servers[0].process.wait(90)
        finally:
            stopped.set()
        assert all(caller.result() > 0 for caller in callers)


def test_a_server_that_starts_late_is_waited_for(kan_serve: Start, write_model: WriteModel) -> None:
    """The connection is refused at first; without repeats the call is answered once the server is there."""
    write_model("affine")
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    with ThreadPoolExecutor(1) as pool, Client(address, 60, max_attempts=1, wait_for_ready=True) as client:
        waiting = pool.submit(client.predict, "affine", ROWS)
        with Client(address, max_attempts=1) as impatient, pytest.raises(Unavailable, match="no server"):
            impatient.models()
        kan_serve("--grpc-port", str(port))
        assert waiting.result().version == 1


def test_a_server_that_loads_is_waited_for(models: Path, write_model: WriteModel) -> None:
    """It listens and says that it is not ready: calls that wait are sent once it is."""
    write_model("affine")

    async def run() -> None:
        server = await start(Settings(models=models, grpc_port=0, http_port=0))
        address = f"127.0.0.1:{server.front.port}"
        try:
            async with (
                AsyncClient(address, 60, max_attempts=1, wait_for_ready=True) as patient,
                AsyncClient(address, max_attempts=1) as impatient,
                AsyncClient([address, "127.0.0.1:1"], max_attempts=1) as balanced,
            ):
                waiting = asyncio.create_task(patient.predict("affine", ROWS))
                with pytest.raises(Unavailable):
                    await balanced.predict("affine", ROWS)
                assert await impatient.health() is Health.NOT_SERVING
                assert not waiting.done()
                await server.load()
                assert (await waiting).version == 1
        finally:
            await stop_here(server, grace_seconds=5)

    asyncio.run(run())


def test_a_server_that_is_slow_to_greet_costs_no_attempt(server: KanServe) -> None:
    """Its half second is longer than the wait after a refused connection, and the call without repeats is answered."""
    server.signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool, Client(server.grpc, 60, max_attempts=1) as client:
        began = time.monotonic()
        waiting = pool.submit(client.predict, "affine", ROWS)
        wait_for(lambda: waiting.done() or time.monotonic() > began + 0.5)
        server.signal(signal.SIGCONT)
        assert waiting.result().version == 1


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
def test_a_vanished_server_is_given_up_after_five_seconds(server: KanServe) -> None:
    """The kernel closes a connection on which nothing is acknowledged for that long."""
    port = server.grpc.rpartition(":")[2]
    timeouts = []
    with Client(server.grpc) as client:
        client.models()
        for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as connection:
                # gRPC writes 127.0.0.1 as an IPv6 address.
                if connection.getpeername()[1:2] == (int(port),):
                    timeouts.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    assert timeouts == [5000]


@pytest.mark.parametrize("attempts", [1, 3])
def test_unavailable_is_repeated_so_often(server: KanServe, attempts: int) -> None:
    """The server counts the attempts."""
    # A model that does not answer has no name in the metrics.
    before = codes(server.metrics, "")
    with Client(server.grpc, max_attempts=attempts) as client, pytest.raises(Unavailable):
        client.predict("broken", ROWS)
    assert codes(server.metrics, "") - before == {"UNAVAILABLE": attempts}


class Refusing(grpc.GenericRpcHandler):
    """Refuses every call as a loading server does, and records when each call came."""

    def __init__(self) -> None:
        self.came_seconds: list[float] = []

    def service(self, _: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(self.refuse)

    def refuse(self, _: bytes, context: Any) -> None:
        self.came_seconds.append(time.monotonic())
        context.abort(grpc.StatusCode.UNAVAILABLE, "models are loading")


def test_between_repeats_lie_waits_that_grow() -> None:
    """Of 0.1, 0.2 and 0.4 s, less a fifth by chance: a server that has no time is not asked again at once."""
    with ThreadPoolExecutor(1) as pool:
        server, refusing = grpc.server(pool), Refusing()
        server.add_generic_rpc_handlers([refusing])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with Client(f"127.0.0.1:{port}", max_attempts=4) as client, pytest.raises(Unavailable):
                client.predict("affine", ROWS)
        finally:
            server.stop(None).wait()
    waits = np.diff(refusing.came_seconds)
    assert len(waits) == 3
    # Only from below: a busy machine makes them longer.
    assert (waits >= 0.8 * np.array([0.1, 0.2, 0.4])).all(), waits


def test_repeats_end_with_the_deadline(server: KanServe) -> None:
    """A call is never longer than it may be."""
    with ThreadPoolExecutor(1) as pool, Client(server.grpc) as client:
        call = pool.submit(client.predict, "broken", ROWS, timeout_seconds=0.25)
        assert seconds_until(call.done, "the end of the call") < 1.0
        assert isinstance(call.exception(), DeadlineExceeded | Unavailable)


@pytest.mark.slow
def test_shed_load_is_not_repeated_where_repeats_are_off(gate: Gate, kan_serve: Start, write_model: WriteModel) -> None:
    """A request without room in the queue is refused at once. The server counts one request for each refusal."""
    write_model("slow")
    server = kan_serve("--max-queue-rows", "64", "--max-request-rows", "64")
    # The client sends 4 rows at a time, a sixteenth of the queue. At most 64 rows run and 64 wait: 32 callers.
    with Client(server.grpc, 60, max_attempts=1) as client, ThreadPoolExecutor(64) as pool:
        with gate.closed():
            calls = [pool.submit(client.predict, "slow", np.zeros((64, 4))) for _ in range(64)]
            wait_for(lambda: sum(call.done() for call in calls) >= 32)
        failures = [call.exception() for call in calls if call.exception()]
    assert 32 <= len(failures) < 64
    assert all(isinstance(failure, Overloaded) for failure in failures)
    assert codes(server.metrics, "slow")["RESOURCE_EXHAUSTED"] == len(failures)
