"""Clients that are slow, stuck, stopped or very many: the others are answered, and nothing of them is left."""

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.kit.callers import http2
from tests.kit.callers.load import connected
from tests.kit.callers.protocols import PROTOCOLS, KanApi
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import until_elsewhere, wait_for

pytestmark = pytest.mark.faults

_CONNECTIONS = 1000
_ROW = np.array([[0, 1, 2, 0.5]], np.float32)
_MANY_ROWS = np.tile(_ROW, (2000, 1))

# A client in a process of its own: it asks on a stream and reads, until it is stopped. The request comes on stdin.
_CLIENT = """
import asyncio, sys, grpc.aio
address, path = sys.argv[1:]
request = sys.stdin.buffer.read()
async def main():
    async with grpc.aio.insecure_channel(address) as channel:
        stream = channel.stream_stream(path)()
        async def write():
            while True:
                await stream.write(request)
        writing = asyncio.create_task(write())
        await stream.read()
        print("reads", flush=True)
        while True:
            await stream.read()
asyncio.run(main())
"""


_UNARY, _STREAM = ("/kan_api.v1.PredictionService/" + name for name in ("Predict", "PredictStream"))
_HELLO = http2.hello()
_ENDLESS = b"\0\xff\xff\xff\xff" + b"x" * 1000
_STUCK = {
    "nothing": b"",
    "half a preface": http2.PREFACE[:12],
    "half a frame": _HELLO[:-4],
    "settings": _HELLO,
    "headers and no message": _HELLO + http2.call(_UNARY),
    "headers and no message, on a stream": _HELLO + http2.call(_STREAM),
    "half a message": _HELLO + http2.call(_UNARY) + http2.frame(http2.DATA, 0, 1, b"\0\0\0\1\0" + b"x" * 10),
    "half a length": _HELLO + http2.call(_UNARY) + http2.frame(http2.DATA, 0, 1, b"\0\0"),
    "an endless message": _HELLO + http2.call(_STREAM) + http2.frame(http2.DATA, 0, 1, _ENDLESS),
    "another protocol": b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "noise": bytes(range(256)) * 4,
}


@pytest.fixture
def server(kan_serve: Start, publish_version: Callable[..., Path]) -> Any:
    """A server of "kan" with room for many connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * _CONNECTIONS  # Envoy has one more for each
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"a process may open {hard} files here, wanted {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    publish_version("kan")
    return kan_serve("--max-queue-rows", str(64 * len(_MANY_ROWS)))  # what one stream may have in flight


@pytest.fixture
def answers(server: KanServe, graphs: Any) -> Callable[[], None]:
    """Fails unless new callers of both protocols are answered."""
    expected = graphs.answer("kan", _ROW) + 1

    async def ask() -> None:
        for _ in range(4):
            async with server.channel() as channel:
                for protocol in PROTOCOLS:
                    method = channel.unary_unary(protocol.path)
                    calls = [method(protocol.request("kan", _ROW), timeout=90) for _ in range(8)]
                    for answer in await asyncio.gather(*calls):
                        np.testing.assert_allclose(protocol.answer(answer)[2], expected, atol=1e-4)

    return lambda: asyncio.run(ask())


@contextmanager
def _nothing_is_left(server: KanServe, answers: Callable[[], None], of: str) -> Iterator[None]:
    """After the block the server is ready, answers, and has closed what it opened."""
    answers()
    before = server.open_files()
    yield
    answers()
    assert server.is_ready(), of
    wait_for(lambda: server.open_files() <= before, f"no more open files than before {of}, {before}")
    wait_for(lambda: server.sample("kan_queue_rows") == 0, f"the end of all waiting rows of {of}")
    log = server.log.read_text()
    assert "Traceback" not in log, f"{of}: {log}"


@pytest.fixture
def leaves_nothing(server: KanServe, answers: Callable[[], None]) -> Iterator[None]:
    """Around a test."""
    with _nothing_is_left(server, answers, "the test"):
        yield


def test_clients_that_stop_in_the_middle(server: KanServe, answers: Callable[[], None]) -> None:
    """Fifty connections that say so much and then nothing; of each sort, and nothing of one is left for the next."""
    for sort, said in _STUCK.items():
        with _nothing_is_left(server, answers, sort), ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(http2.connect(server.grpc)).sendall(said)
            answers()


def test_stuck_clients_do_not_hold_up_the_end(server: KanServe, answers: Callable[[], None]) -> None:
    """One connection of each sort, and SIGTERM: the server ends, long before its 30 seconds of grace are over."""
    with ExitStack() as stack:
        for said in _STUCK.values():
            stack.enter_context(http2.connect(server.grpc)).sendall(said)
        answers()
        code, log = server.stop()
    assert code == 0, log
    assert "the grace period is over" not in log, log
    assert "Traceback" not in log, log


@pytest.mark.usefixtures("leaves_nothing")
def test_a_client_that_never_reads(server: KanServe, answers: Callable[[], None], graphs: Any) -> None:
    """It can write no more after a while, and costs little memory; once it reads, all its answers are there."""
    request = KanApi.request("kan", _MANY_ROWS)
    most = 20_000

    async def check() -> None:
        before = server.resident_bytes()
        async with server.channel() as channel:
            stream = channel.stream_stream(KanApi.stream_path)()
            written = 0
            for _ in range(most):
                writing = asyncio.ensure_future(stream.write(request))
                done, _ = await asyncio.wait({writing}, timeout=2)
                if not done:
                    break
                written += 1
            else:
                pytest.fail(f"{most} messages were taken from a client that reads nothing")
            await asyncio.to_thread(answers)
            grown = server.resident_bytes() - before
            assert grown < 64e6, (
                f"{grown / 1e6:.0f} MB more for a client that wrote {written} messages and reads nothing"
            )
            expected = graphs.answer("kan", _ROW) + 1
            for _ in range(written):
                _, code, values, version = KanApi.stream_answer(await stream.read())
                assert (code, version) == ("OK", 1), values
                np.testing.assert_allclose(values, np.repeat(expected, len(_MANY_ROWS)), atol=1e-4)
            await writing

    asyncio.run(check())


@pytest.mark.usefixtures("leaves_nothing")
def test_a_client_that_is_stopped_and_killed(server: KanServe, answers: Callable[[], None]) -> None:
    """Its process is frozen while it streams (the connection stays, nobody reads), and later killed."""
    request = KanApi.request("kan", _MANY_ROWS)
    command = [sys.executable, "-c", _CLIENT, server.grpc, KanApi.stream_path]
    with ExitStack() as stack:
        clients = []
        for _ in range(3):
            client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(client)
            stack.callback(client.kill)
            clients.append(client)
        for client in clients:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(request)
            client.stdin.close()
            assert client.stdout.readline() == b"reads\n"
            client.send_signal(signal.SIGSTOP)
        before = server.resident_bytes()
        answers()
        wait_for(lambda: server.sample("kan_queue_rows") == 0, "the rows of frozen clients to be gone")
        answers()
        grown = server.resident_bytes() - before
        assert grown < 64e6, f"{grown / 1e6:.0f} MB more for three clients that are frozen"


@pytest.mark.usefixtures("leaves_nothing")
def test_a_thousand_connections(server: KanServe, answers: Callable[[], None]) -> None:
    """They are all taken, real calls go through on every tenth of them and beside them."""
    before = server.open_files()

    async def call_on_many() -> None:
        channels = [server.channel() for _ in range(_CONNECTIONS // 10)]
        methods = [
            (channel.unary_unary(each.path), each) for channel, each in zip(channels, PROTOCOLS * 50, strict=True)
        ]
        for _ in range(3):
            await asyncio.gather(*(method(each.request("kan", _ROW), timeout=90) for method, each in methods))
        # A connection of the callers before may have been open still.
        await until_elsewhere(lambda: server.open_files() - before >= _CONNECTIONS - 4)
        await asyncio.to_thread(answers)
        await asyncio.gather(*(channel.close() for channel in channels))

    with ExitStack() as stack:
        for _ in range(_CONNECTIONS - _CONNECTIONS // 10):
            stack.enter_context(http2.connect(server.grpc)).sendall(_HELLO)
        asyncio.run(call_on_many())


@pytest.mark.usefixtures("leaves_nothing")
def test_more_connections_than_files_may_be_open(server: KanServe) -> None:
    """Further connections wait. An open one is answered meanwhile, and new ones once the others are closed."""
    request = KanApi.request("kan", _ROW)
    with connected(server.grpc) as predict, ExitStack() as stack:
        assert predict(request, timeout=90)
        serving = server.processes()[-1]
        bound = serving.num_fds() + 50
        serving.rlimit(psutil.RLIMIT_NOFILE, (bound, serving.rlimit(psutil.RLIMIT_NOFILE)[1]))
        for _ in range(200):
            stack.enter_context(http2.connect(server.grpc)).sendall(_HELLO)
        wait_for(lambda: serving.num_fds() >= bound, "as many open files as allowed")
        for _ in range(20):
            assert predict(request, timeout=90)
