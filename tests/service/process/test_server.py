import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from service.client import Client
from service.errors import StartupError
from service.frontends.front import Front
from service.frontends.grpcio import server as grpcio_server
from service.process.server import start
from service.process.stop import CLOSED, TRACED, Stop
from service.rpc.calls import Method
from service.settings import Settings
from tests.kit.callers import http2
from tests.kit.callers.calls import predict
from tests.kit.callers.methods import offered_methods
from tests.kit.models.repository import WriteModel
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, Serving, Start, stop_here
from tests.kit.server.metrics import counted
from tests.kit.server.otlp import Receiver, receiving
from tests.kit.server.programs import free_ports
from tests.kit.waiting import until, wait_for


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        (
            "service.frontends.grpcio.server, service.process.server",
            "torch onnx sympy sklearn pandas kan_model training",
        ),
        ("service.process.envoy.child", "torch onnx sympy sklearn pandas kan_model training grpc"),
        ("service.process.envoy.parent", "torch onnx grpc onnxruntime numpy uvloop"),
        ("service.process.workers.parent", "torch onnx grpc onnxruntime uvloop"),
    ],
)
def test_what_a_process_does_without(module: str, heavy: str) -> None:
    """The service imports without torch, onnx or anything of training; inside Envoy without gRPC; before it, small."""
    code = f"import {module}, sys; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_reflection_tells_every_method(models: Path) -> None:
    """The table of methods is what the descriptors hold: tests that read those (of tokens) see every method."""
    table: list[str] = []

    async def start_and_note(methods: Mapping[str, Method], *others: Any) -> Front:
        table.extend(methods)
        return await grpcio_server.start(methods, *others)

    async def check() -> None:
        server = await start(Settings(models=models, grpc_port=0, http_port=0), start_and_note)
        try:
            told = await asyncio.to_thread(offered_methods, f"127.0.0.1:{server.front.port}")
            assert sorted(told) == sorted(table)
        finally:
            await stop_here(server, grace_seconds=5)

    asyncio.run(check())


def test_the_grace_period_bounds_the_stop(gate: Gate, serving: Serving, write_model: WriteModel) -> None:
    """Without a grace period, waiting requests get UNAVAILABLE. The current run is answered."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                calls = [asyncio.ensure_future(predict(channel, "slow", 512)) for _ in range(16)]
                await until(lambda: counted(server, "kan_request_rows_count") == 16)
                stop = asyncio.create_task(stop_here(server, grace_seconds=0))
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)  # one that waited: no run ends
            await stop
            answers = await asyncio.gather(*calls, return_exceptions=True)
            failed = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
            assert len(failed) == 15
            assert {answer.code() for answer in failed} == {grpc.StatusCode.UNAVAILABLE}

    asyncio.run(check())


def test_ports_are_free_again_after_a_failed_start(models: Path) -> None:
    """A taken gRPC port is an error that names it, and the HTTP port is given back."""

    async def check(grpc_port: int) -> None:
        (http_port,) = free_ports(1)
        with pytest.raises(StartupError, match=f":{grpc_port}: Address already"):
            await start(Settings(models=models, grpc_port=grpc_port, http_port=http_port))
        socket.create_server(("127.0.0.1", http_port)).close()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(check(taken.getsockname()[1]))


def test_two_servers_cannot_share_a_port(serving: Serving, models: Path) -> None:
    """The second server on an address is refused: no silent sharing."""

    async def check() -> None:
        async with serving() as (server, _):
            with pytest.raises(StartupError, match="Address already"):
                await start(Settings(models=models, grpc_port=server.front.port, http_port=0))

    asyncio.run(check())


def test_a_connection_that_says_nothing_does_not_hold_up_the_end(kan_serve: Start, write_model: WriteModel) -> None:
    """One idle TCP connection: the stop takes seconds, not the grace period; after a second signal it takes fewer."""
    write_model("affine")

    def stop_seconds(signals: int) -> float:
        server = kan_serve("--grace-seconds", "6000")
        with http2.connect(server.grpc), Client(server.grpc) as client:
            client.models()
            began = time.monotonic()
            server.signal(signal.SIGTERM)
            if signals == 2:
                wait_for(lambda: not server.is_ready(), "the first signal to be taken")
                server.signal(signal.SIGTERM)
            assert server.finish()[0] == 0
            return time.monotonic() - began

    assert stop_seconds(2) < stop_seconds(1)


def test_a_folder_without_versions_is_not_called_ready(models: Path, write_model: WriteModel, tmp_path: Path) -> None:
    """The line on standard output says the same as /readyz; the warning names the folder that was probably meant."""
    given = write_model("affine").parent
    server = KanServe.start(given, log=tmp_path / "log", ready=False)
    try:
        assert server.get("/readyz")[0] == 503
        wait_for(lambda: "no model answers" in server.log.read_text())
        assert f"pass --models {models}" in server.log.read_text()
    finally:
        server.kill()


def test_the_process_says_once_where_it_listens(kan_serve: Start, write_model: WriteModel) -> None:
    """One line with the real ports and the versions that answer. With the setting, log lines are JSON."""
    write_model("affine", version=1)
    (write_model("affine", version=2) / "model.onnx").write_bytes(b"broken")
    write_model("classifier", version=12)
    server = kan_serve("--log-format", "json")
    assert server.line == f"kan-serve ready: grpc={server.grpc} http={server.http} models=affine/1,classifier/12\n"
    assert server.is_ready()
    server.signal(signal.SIGTERM)
    code, out, err = server.finish()
    assert (code, out) == (0, "")
    lines = [json.loads(line) for line in err.splitlines()]
    assert any(line["level"] == "ERROR" and "affine version 2 refused" in line["message"] for line in lines)


def test_what_is_there_at_the_start_is_never_collected(models: Path, write_model: WriteModel) -> None:
    """The garbage collector does not examine these objects again, which would delay every request by 15 ms."""
    write_model("affine")
    code = f"""
import asyncio, gc
from service.process import server
from service.settings import Settings
from service.process.stop import Stop

async def main():
    settings = Settings(models={str(models)!r}, grpc_port=0, http_port=0)
    stop = Stop(0)
    stop.listen()
    async def loaded(_):
        print(gc.get_freeze_count() > 10_000, gc.get_count()[2])
        stop.ask()
    await server.run(await server.start(settings), settings, loaded, stop)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True 0\n"


def test_the_last_traces_leave_time_for_the_ports(
    serving: Serving, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second signal a receiver that hangs is given up before the milestone of the ports, which then close.

    That milestone is later here, since a busy machine may need more than the 0.15 s between the two. It is earlier
    than the 10 s that a message to the receiver may take.
    """
    write_model("affine")
    assert TRACED.after_at_once_seconds < CLOSED.after_at_once_seconds
    closed = replace(CLOSED, after_at_once_seconds=8.0)
    monkeypatch.setattr("service.process.server.CLOSED", closed)
    monkeypatch.setattr("service.process.server_parts.CLOSED", closed)

    async def check(receiver: Receiver) -> None:
        receiver.open.clear()
        async with serving(trace_endpoint=receiver.address, trace_sample=1.0) as (server, channel):
            await predict(channel, "affine")
            stop = Stop(grace_seconds=30)
            stop.ask_at_once()
            assert await server.finish(stop)
            assert stop.remaining(closed) > 0
        receiver.open.set()

    with receiving() as receiver:
        asyncio.run(check(receiver))
