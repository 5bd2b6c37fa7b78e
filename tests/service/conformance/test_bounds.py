"""The answers of a server at its limits, the same for every front end."""

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from tests.kit.callers import http2
from tests.kit.callers.calls import predict
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import wait_for

_PREDICT, _STREAM = (f"/kan_api.v1.PredictionService/{name}" for name in ("Predict", "PredictStream"))
_CHECK, _WATCH = (f"/grpc.health.v1.Health/{name}" for name in ("Check", "Watch"))


def _unfinished(server: KanServe, path: str, calls: int, declared_bytes: int, sent_bytes: int) -> socket.socket:
    """A connection with calls that have each begun a message of that many bytes and stopped."""
    connection = http2.connect(server.grpc)
    connection.sendall(http2.hello())
    begun = http2.message(bytes(declared_bytes))[: 5 + sent_bytes]
    for stream in range(1, 2 * calls, 2):
        connection.sendall(http2.call(path, stream) + http2.frame(http2.DATA, 0, stream, begun))
    return connection


def _health(server: KanServe) -> int:
    """The status of the server in the health service, over a new connection."""
    with grpc.insecure_channel(server.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        method: Any = channel.unary_unary(_CHECK)
        return int(health_pb2.HealthCheckResponse.FromString(method(b"", timeout=60)).status)


@pytest.mark.slow
@pytest.mark.parametrize("path", [_PREDICT, _STREAM])
def test_calls_beyond_the_bound(path: str, start: Start, write_model: WriteModel) -> None:
    """They are refused at once with a time for the next try, and counted. Health still answers. Later calls succeed."""
    write_model("affine")
    # As many as are open may be received at once, so that none waits for another.
    server = start("--max-calls", "8", "--max-streams", "8", "--max-message-bytes", str(2**20))
    serving = health_pb2.HealthCheckResponse.SERVING

    async def refused() -> bool:
        """Whether one more call is refused, as it should be."""
        async with server.channel() as channel:
            stream: Any = channel.stream_stream(path)
            try:
                call = stream()
                await call.write(b"")
                await call.done_writing()
                await call.read()
                await call.code()
            except grpc.aio.AioRpcError:
                pass
            if await call.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                return False
            details = await call.details()
            assert "8 calls are open" in details or "8 streams are open" in details, details
            assert dict(await call.trailing_metadata() or ())["grpc-retry-pushback-ms"]
            return True

    async def answered() -> bool:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            try:
                await predict(channel, "affine")
            except grpc.aio.AioRpcError:
                return False
            return True

    def eventually(condition: Any) -> None:
        wait_for(lambda: asyncio.run(condition()))

    # Those that Envoy waits for itself do not count there.
    with _unfinished(server, path, 8 + 24, declared_bytes=100, sent_bytes=10):
        eventually(refused)
        assert _health(server) == serving
        assert server.sample("kan_rejected_total", model="", reason="overload") >= 1
        assert server.sample("kan_requests_total", model="", code="RESOURCE_EXHAUSTED") >= 1
    eventually(answered)


@pytest.mark.slow
def test_watchers_take_nobodys_place(start: Start, write_model: WriteModel) -> None:
    """Eleven hundred callers watch the health: each gets the changes, and health still answers."""
    write_model("affine")
    server = start()
    serving = health_pb2.HealthCheckResponse.SERVING
    with ExitStack() as stack:
        for _ in range(2):
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
            watch: Any = stack.enter_context(grpc.insecure_channel(server.grpc, options=options)).unary_stream(_WATCH)
            calls = [watch(b"", timeout=90) for _ in range(550)]
            for call in calls:
                stack.callback(call.cancel)
                assert health_pb2.HealthCheckResponse.FromString(next(call)).status == serving
        assert _health(server) == serving


def test_unfinished_requests_stop_nobody(start: Start, write_model: WriteModel) -> None:
    """Two hundred calls on two connections have begun a large message and stopped: other calls are answered."""
    write_model("affine")
    server = start("--max-inflight-bytes", str(2**20), "--max-message-bytes", str(2**20))

    async def ask() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            for _ in range(20):
                await predict(channel, "affine")
                await asyncio.gather(*(predict(channel, "affine") for _ in range(4)))

    with ExitStack() as stack:
        for path in (_PREDICT, _CHECK):
            stack.enter_context(_unfinished(server, path, 100, declared_bytes=2**20, sent_bytes=500))
        asyncio.run(ask())
        assert _health(server) == health_pb2.HealthCheckResponse.SERVING


def test_requests_beyond_the_bytes(start: Start, write_model: WriteModel) -> None:
    """Many large requests at once: each is answered, or refused as overload; the server holds no more of them."""
    write_model("slow")
    flags = ("--max-inflight-bytes", str(2**20), "--max-message-bytes", str(2**20), "--max-queue-rows", str(2**20))
    server = start(*flags)
    identity = "x" * 300_000

    async def ask() -> list[grpc.StatusCode]:
        async with server.channel() as channel:
            calls = [predict(channel, "slow", 512, id=identity) for _ in range(12)]
            await asyncio.gather(*calls, return_exceptions=True)
            return [await call.code() for call in calls]

    codes = asyncio.run(ask())
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}, codes
    refused = codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert server.sample("kan_rejected_total", reason="overload") == refused
    assert server.sample("kan_requests_total", code="RESOURCE_EXHAUSTED") == refused
