"""A server's life: ports, drain, a second signal, connection age and keepalive, swaps."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from kan_api.v1 import prediction_pb2 as pb
from open_inference import grpc_predict_v2_pb2 as oip

Start = Callable[..., Any]
WriteModel = Callable[..., Path]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # with empty SETTINGS
_PING, _GOAWAY = 6, 7


def _frames(address: str) -> Iterator[int]:
    """Types of the frames that a silent HTTP/2 connection gets, until it is closed."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(_PREFACE)
        file = connection.makefile("rb")
        while len(head := file.read(9)) == 9:
            file.read(int.from_bytes(head[:3], "big"))
            yield head[3]


def test_sigterm_answers_what_was_accepted(
    gate: Any, start: Start, write_model: WriteModel, predict: Any, sample: Any, until: Any
) -> None:
    """Requests in the queue are answered, later ones are UNAVAILABLE, and the process ends with 0."""
    write_model("slow")
    server = start("--max-batch-rows", "256")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with gate.closed():
                calls = [asyncio.ensure_future(predict(channel, "slow", 256)) for _ in range(16)]
                await until(lambda: sample(server, "kan_request_rows_count", model="slow") == 16)
                server.process.send_signal(signal.SIGTERM)
                await until(lambda: sample(server, "kan_model_ready", model="slow") == 0)
                with pytest.raises(grpc.aio.AioRpcError) as late:
                    await predict(channel, "slow")
                assert late.value.code() is grpc.StatusCode.UNAVAILABLE
            assert [one.outputs[0].values.rows for one in await asyncio.gather(*calls)] == [256] * 16
        code, _, log = await asyncio.to_thread(server.finish)
        assert code == 0
        assert "Traceback" not in log

    asyncio.run(check())


def test_a_second_signal_ends_the_drain(
    gate: Any, start: Start, write_model: WriteModel, predict: Any, sample: Any, until: Any
) -> None:
    """Requests that still wait get UNAVAILABLE. The process ends with 0 long before its grace period is over."""
    write_model("slow")
    server = start("--grace-seconds", "600")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with gate.closed():
                calls = [asyncio.ensure_future(predict(channel, "slow", 4096, seconds=None)) for _ in range(2)]
                await until(lambda: sample(server, "kan_request_rows_count", model="slow") == 2)
                server.process.send_signal(signal.SIGTERM)
                await until(lambda: sample(server, "kan_model_ready", model="slow") == 0)
                server.process.send_signal(signal.SIGTERM)
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)  # no run has ended
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert {error.code() for error in ended if isinstance(error, grpc.aio.AioRpcError)} == {
                grpc.StatusCode.UNAVAILABLE
            }
        code, _, log = await asyncio.to_thread(server.finish)
        assert code == 0
        assert "have not read" not in log

    asyncio.run(check())


@pytest.mark.usefixtures("foreground")
def test_a_terminal_that_goes_stops_the_server(start: Start, write_model: WriteModel) -> None:
    """SIGHUP is an orderly stop too."""
    write_model("affine")
    server = start()
    server.process.send_signal(signal.SIGHUP)
    code, _, log = server.finish()
    assert code == 0
    assert "stopped" in log


def test_a_port_has_one_server(start: Start, write_model: WriteModel, models: Path, frontend: str) -> None:
    """A second server on the same port reports that in one line and ends with 1. The first one still answers."""
    write_model("affine")
    port = start().grpc.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "service.cli", "--models", str(models), "--frontend", frontend]
    done = subprocess.run(
        [*command, "--grpc-port", port, "--http-port", "0"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"cannot listen for gRPC on 127.0.0.1:{port}: Address already in use" in done.stderr


def test_no_models_folder(models: Path, frontend: str) -> None:
    """A folder that is absent is one line, and exit code 1."""
    command = [sys.executable, "-m", "service.cli", "--models", str(models / "absent"), "--frontend", frontend]
    done = subprocess.run(
        [*command, "--grpc-port", "0", "--http-port", "0"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "absent" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_connections_age(start: Start, write_model: WriteModel, predict: Any) -> None:
    """A connection is closed at its age, and a caller that keeps calling loses no call."""
    write_model("affine")
    server = start("--max-connection-age-seconds", "0.5", "--max-connection-age-grace-seconds", "5")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            going = asyncio.create_task(asyncio.to_thread(lambda: _GOAWAY in _frames(server.grpc)))
            calls = 0
            while not going.done():
                await predict(channel, "affine")
                calls += 1
            assert await going
            assert calls

    asyncio.run(check())


def test_silent_connections_are_asked(start: Start, write_model: WriteModel) -> None:
    """An idle connection gets a ping, and is closed if it does not answer."""
    write_model("affine")
    server = start("--keepalive-seconds", "1", "--keepalive-timeout-seconds", "1")
    seen = list(_frames(server.grpc))  # ends when the connection is closed
    assert _PING in seen


def test_versions_swap_and_go_back(start: Start, write_model: WriteModel, predict: Any) -> None:
    """Under load a new version takes over and no request fails. After its removal the older version answers again."""
    write_model("affine", 1)
    server = start("--poll-seconds", "0.05")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            seen: list[int] = []

            async def call_until(version: int) -> None:
                while not seen or seen[-1] != version:
                    seen.append((await predict(channel, "affine")).version)

            await call_until(1)
            folder = write_model("affine", 2)
            await asyncio.gather(*(call_until(2) for _ in range(4)))
            folder.rename(folder.parent.parent.parent / "aside")
            await asyncio.gather(*(call_until(1) for _ in range(4)))

    asyncio.run(check())


def test_models_are_loaded_on_request(start: Start, write_model: WriteModel, predict: Any) -> None:
    """With allow_load a model can be unloaded and loaded; without, the method says that it is not there."""
    write_model("affine")
    server = start("--allow-load")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:

            async def ask(name: str, request: Any) -> None:
                method: Any = channel.unary_unary(f"/inference.GRPCInferenceService/{name}", None, None)
                await method(request.SerializeToString(), timeout=60)

            await ask("RepositoryModelUnload", oip.RepositoryModelUnloadRequest(model_name="affine"))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await predict(channel, "affine")
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            await ask("RepositoryModelLoad", oip.RepositoryModelLoadRequest(model_name="affine"))
            answered: pb.PredictResponse = await predict(channel, "affine")
            assert answered.version == 1

    asyncio.run(check())
