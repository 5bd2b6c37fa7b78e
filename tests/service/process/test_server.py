import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from service.errors import StartupError
from service.process.server import start
from service.settings import Settings

Serving = Callable[..., AbstractAsyncContextManager[Any]]
WriteModel = Callable[..., Path]
KanServe = Callable[..., Any]


def _predict(channel: grpc.aio.Channel, model: str, rows: int) -> Any:
    """One request with that many rows of ones."""
    method: Any = channel.unary_unary(
        "/kan_api.v1.PredictionService/Predict", response_deserializer=pb.PredictResponse.FromString
    )
    matrix = pb.Matrix(rows=rows, columns=4, raw=np.ones((rows, 4), np.float32).tobytes())
    return method(pb.PredictRequest(model=model, features=matrix).SerializeToString(), timeout=60)


def _status(address: str, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        (
            "service.frontends.grpcio.server, service.process.server",
            "torch onnx sympy sklearn pandas kan_model training",
        ),
        ("service.process.envoy_child", "torch onnx sympy sklearn pandas kan_model training grpc"),
        ("service.process.envoy_parent", "torch onnx grpc onnxruntime numpy uvloop"),
    ],
)
def test_what_a_process_does_without(module: str, heavy: str) -> None:
    """The service imports without torch, onnx or anything of training; inside Envoy without gRPC; before it, small."""
    code = f"import {module}, sys; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_stop_answers_what_was_accepted(gate: Any, serving: Serving, write_model: WriteModel) -> None:
    """Requests in the queue at the stop are answered. Later ones get UNAVAILABLE."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                calls = [asyncio.ensure_future(_predict(channel, "slow", 64)) for _ in range(16)]
                await _accepted(server, 16)
                stop = asyncio.create_task(server.stop(grace_seconds=600))
                await asyncio.sleep(0)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await _predict(channel, "slow", 1)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            answers = await asyncio.gather(*calls)
            assert [answer.outputs[0].values.rows for answer in answers] == [64] * 16
            await stop

    asyncio.run(check())


def test_who_is_shed_is_told_when_to_come_again(gate: Any, serving: Serving, write_model: WriteModel) -> None:
    """At once, with a time that grows with the queue, in the trailer that gRPC's own retries use."""
    write_model("slow")

    async def check() -> None:
        async with serving(max_queue_rows=4096) as (server, channel):
            await _predict(channel, "slow", 64)
            with gate.closed():
                calls = [asyncio.ensure_future(_predict(channel, "slow", 1024)) for _ in range(4)]
                await _accepted(server, 5)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await _predict(channel, "slow", 4096)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            trailers = dict(caught.value.trailing_metadata() or ())
            assert int(trailers["grpc-retry-pushback-ms"]) > 1
            await asyncio.gather(*calls)

    asyncio.run(check())


def test_the_grace_period_bounds_the_stop(gate: Any, serving: Serving, write_model: WriteModel) -> None:
    """Without a grace period, waiting requests get UNAVAILABLE. The current run is answered."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            with gate.closed():
                calls = [asyncio.ensure_future(_predict(channel, "slow", 512)) for _ in range(16)]
                await _accepted(server, 16)
                stop = asyncio.create_task(server.stop(grace_seconds=0))
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
        with socket.create_server(("127.0.0.1", 0)) as free:
            http_port = free.getsockname()[1]
        with pytest.raises(StartupError, match=f"cannot listen for gRPC on 127.0.0.1:{grpc_port}: Address already"):
            await start(Settings(models=models, grpc_port=grpc_port, http_port=http_port))
        socket.create_server(("127.0.0.1", http_port)).close()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(check(taken.getsockname()[1]))


def test_two_servers_cannot_share_a_port(serving: Serving, models: Path) -> None:
    """The second server on an address is refused: no silent sharing."""

    async def check() -> None:
        async with serving() as (server, _):
            with pytest.raises(StartupError, match="Address already in use"):
                await start(Settings(models=models, grpc_port=server.front.port, http_port=0))

    asyncio.run(check())


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_process(
    gate: Any, kan_serve: KanServe, write_model: WriteModel, number: signal.Signals
) -> None:
    """Every request in flight at the signal is answered or gets UNAVAILABLE. Exit code 0, one line on stdout."""
    write_model("slow")
    server = kan_serve()

    async def check() -> list[Any]:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            await _predict(channel, "slow", 1)
            with gate.closed():
                calls = [asyncio.ensure_future(_predict(channel, "slow", 64)) for _ in range(40)]
                await _rows_waiting(server.http)
                server.process.send_signal(number)
                while await asyncio.to_thread(_status, server.http, "/readyz") == 200:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
            return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(check())
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(one, grpc.aio.AioRpcError) for one in refused)
    assert {one.code().name for one in refused if isinstance(one, grpc.aio.AioRpcError)} <= {"UNAVAILABLE"}
    assert len(refused) < 40
    code, out, err = server.finish()
    assert (code, out) == (0, "")
    assert "Traceback" not in err


def test_a_second_signal_ends_at_once(gate: Any, kan_serve: KanServe, write_model: WriteModel) -> None:
    """With a long queue and a long grace period the second signal ends the drain; callers get UNAVAILABLE."""
    write_model("slow")
    server = kan_serve("--max-queue-rows", "100000", "--grace-seconds", "600")

    async def check() -> list[Any]:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            await _predict(channel, "slow", 1)
            with gate.closed():
                calls = [asyncio.ensure_future(_predict(channel, "slow", 4096)) for _ in range(20)]
                await _rows_waiting(server.http)
                server.process.send_signal(signal.SIGTERM)
                while await asyncio.to_thread(_status, server.http, "/readyz") == 200:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
                server.process.send_signal(signal.SIGTERM)
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)  # no run has ended
            return await asyncio.gather(*calls, return_exceptions=True)

    codes = {one.code().name for one in asyncio.run(check()) if isinstance(one, grpc.aio.AioRpcError)}
    assert codes == {"UNAVAILABLE"}
    assert server.finish()[0] == 0


def test_a_connection_that_says_nothing_does_not_hold_up_the_end(kan_serve: KanServe, write_model: WriteModel) -> None:
    """One idle TCP connection: the stop takes seconds, not the grace period; after a second signal it takes fewer."""
    write_model("affine")

    def stop_seconds(signals: int) -> float:
        server = kan_serve("--grace-seconds", "6000")
        host, port = server.grpc.rsplit(":", 1)
        with socket.create_connection((host, int(port))):
            asyncio.run(_predict_once(server.grpc))
            began = time.monotonic()
            for _ in range(signals):
                server.process.send_signal(signal.SIGTERM)
                while signals == 2 and _status(server.http, "/readyz") == 200:
                    pass
            assert server.finish()[0] == 0
            return time.monotonic() - began

    assert stop_seconds(2) < stop_seconds(1)


def test_a_folder_without_versions_is_not_called_ready(models: Path, write_model: WriteModel) -> None:
    """The line on standard output says the same as /readyz; the warning names the folder that was probably meant."""
    given = write_model("affine").parent
    command = [sys.executable, "-m", "service.cli", "--models", str(given), "--grpc-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("kan-serve not ready: grpc=127.0.0.1:")
            assert _status(line.split("http=")[1].split()[0], "/readyz") == 503
            warning = process.stderr.readline()
            assert "no model answers" in warning
            assert f"looks like one model's folder: pass --models {models}" in warning
        finally:
            process.terminate()


async def _predict_once(address: str) -> None:
    """One answered request."""
    async with grpc.aio.insecure_channel(address) as channel:
        await _predict(channel, "affine", 1)


def test_the_process_says_once_where_it_listens(kan_serve: KanServe, write_model: WriteModel) -> None:
    """One line with the real ports and the versions that answer. With the setting, log lines are JSON."""
    write_model("affine", version=1)
    (write_model("affine", version=2) / "model.onnx").write_bytes(b"broken")
    write_model("classifier", version=12)
    server = kan_serve("--log-format", "json")
    assert server.ready == f"kan-serve ready: grpc={server.grpc} http={server.http} models=affine/1,classifier/12\n"
    assert _status(server.http, "/readyz") == 200
    server.process.send_signal(signal.SIGTERM)
    code, out, err = server.finish()
    assert (code, out) == (0, "")
    lines = [json.loads(line) for line in err.splitlines()]
    assert any(line["level"] == "ERROR" and "affine version 2 refused" in line["message"] for line in lines)


async def _accepted(server: Any, requests: int) -> None:
    """Wait until the model "slow" has accepted that many requests."""
    sample = server.metrics.registry.get_sample_value
    async with asyncio.timeout(60):
        while sample("kan_request_rows_count", {"model": "slow", "version": "1"}) < requests:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def _rows_waiting(address: str) -> None:
    """Wait until a process holds rows in a queue."""

    def waiting() -> bool:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return any(line.startswith("kan_queue_rows{") and float(line.split()[-1]) > 0 for line in lines)

    async with asyncio.timeout(60):
        while not await asyncio.to_thread(waiting):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


def test_what_is_there_at_the_start_is_never_collected(models: Path, write_model: Callable[..., Path]) -> None:
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
