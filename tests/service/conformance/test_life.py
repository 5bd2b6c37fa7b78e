"""A server's life: ports, drain, a second signal, connection age and keepalive, swaps."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tests.kit.callers import http2
from tests.kit.callers.calls import ask_inference, failure_of, predict
from tests.kit.models.repository import WriteModel
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import Start, run_kan_serve
from tests.kit.waiting import until_elsewhere


def _frames(address: str) -> Iterator[int]:
    """Types of the frames that a silent HTTP/2 connection gets, until it is closed."""
    with http2.connect(address) as connection:
        connection.sendall(http2.hello())
        file = connection.makefile("rb")
        while len(head := file.read(9)) == 9:
            file.read(int.from_bytes(head[:3], "big"))
            yield head[3]


@pytest.mark.slow
def test_sigterm_answers_what_was_accepted(gate: Gate, start: Start, write_model: WriteModel) -> None:
    """Requests in the queue are answered, later ones are UNAVAILABLE, and the process ends with 0."""
    write_model("slow")
    server = start("--max-batch-rows", "256")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with gate.closed():
                calls = [asyncio.ensure_future(predict(channel, "slow", 256)) for _ in range(16)]
                await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="slow") == 16)
                server.signal(signal.SIGTERM)
                await until_elsewhere(lambda: server.sample("kan_model_ready", model="slow") == 0)
                assert (await failure_of(predict(channel, "slow")))[0] == "UNAVAILABLE"
            assert [one.outputs[0].values.rows for one in await asyncio.gather(*calls)] == [256] * 16
        code, _, log = await asyncio.to_thread(server.finish)
        assert code == 0
        assert "Traceback" not in log

    asyncio.run(check())


@pytest.mark.slow
def test_a_second_signal_ends_the_drain(gate: Gate, start: Start, write_model: WriteModel) -> None:
    """Requests that still wait get UNAVAILABLE. The process ends with 0 long before its grace period is over."""
    write_model("slow")
    server = start("--grace-seconds", "600")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with gate.closed():
                calls = [asyncio.ensure_future(predict(channel, "slow", 4096, seconds=None)) for _ in range(2)]
                await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="slow") == 2)
                server.signal(signal.SIGTERM)
                await until_elsewhere(lambda: server.sample("kan_model_ready", model="slow") == 0)
                server.signal(signal.SIGTERM)
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_each_signal_is_an_orderly_stop(start: Start, write_model: WriteModel, number: signal.Signals) -> None:
    """Control-C and a terminal that closes stop the server as SIGTERM does; one line is on standard output."""
    write_model("affine")
    server = start()
    server.signal(number)
    code, out, log = server.finish()
    assert (code, out) == (0, "")
    assert "stopped" in log


def test_a_port_has_one_server(start: Start, write_model: WriteModel, models: Path, frontend: str) -> None:
    """A second server on the same port reports that in one line and ends with 1. The first one still answers."""
    write_model("affine")
    port = start().grpc.rsplit(":", 1)[1]
    done = run_kan_serve(models, "--frontend", frontend, "--grpc-port", port)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use" in done.stderr


def test_no_models_folder(models: Path, frontend: str) -> None:
    """A folder that is absent is one line, and exit code 1."""
    done = run_kan_serve(models / "absent", "--frontend", frontend)
    assert done.returncode == 1, done.stderr
    assert "absent" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_connections_age(start: Start, write_model: WriteModel) -> None:
    """A connection is closed at its age, and a caller that keeps calling loses no call."""
    write_model("affine")
    server = start("--max-connection-age-seconds", "0.5", "--max-connection-age-grace-seconds", "5")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            going = asyncio.create_task(asyncio.to_thread(lambda: http2.GOAWAY in _frames(server.grpc)))
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
    assert http2.PING in seen


def test_versions_swap_and_go_back(start: Start, write_model: WriteModel) -> None:
    """Under load a new version takes over for each caller, and no request fails; once it is removed, the older one.

    tests/faults/test_swap.py does the same for a minute, with answers that differ by version.
    """
    write_model("affine", 1)
    server = start("--poll-seconds", "0.05", "--linger-seconds", "0")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:

            async def call_until(version: int) -> list[int]:
                seen: list[int] = []
                while not seen or seen[-1] != version:
                    seen.append((await predict(channel, "affine")).version)
                return seen

            await call_until(1)
            folder = write_model("affine", 2)
            for seen in await asyncio.gather(*(call_until(2) for _ in range(4))):
                assert seen == sorted(seen)
            folder.rename(folder.parent.parent.parent / "aside")
            await asyncio.gather(*(call_until(1) for _ in range(4)))
            await until_elsewhere(lambda: server.log.read_text().count(" closed: ") == 2)

    asyncio.run(check())


def test_models_are_loaded_on_request(start: Start, write_model: WriteModel) -> None:
    """With allow_load a model can be unloaded and loaded; without, the method says that it is not there."""
    write_model("affine")
    server = start("--allow-load")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            await ask_inference(channel, "RepositoryModelUnload", model_name="affine")
            assert (await failure_of(predict(channel, "affine")))[0] == "NOT_FOUND"
            await ask_inference(channel, "RepositoryModelLoad", model_name="affine")
            assert (await predict(channel, "affine")).version == 1

    asyncio.run(check())
