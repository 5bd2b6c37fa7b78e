"""Streams: many in flight, failures in their place, cancellation, back-pressure, health's watch."""

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers import http2
from tests.kit.callers.calls import predict
from tests.kit.callers.protocols import KanApi
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, Start, serving
from tests.kit.waiting import until_elsewhere


@pytest.fixture(scope="module")
def gate(module_gate: Gate) -> Gate:
    """Of the server that the tests share."""
    return module_gate


@pytest.fixture(scope="module")
def server(frontend: str, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine and slow, which the gate holds; the tests that do not stop it share it."""
    folder = tmp_path_factory.mktemp("shared")
    for kind in ("affine", "slow"):
        write_version(folder / "models", kind)
    with serving(folder / "models", "--frontend", frontend, log=folder / "log") as started:
        yield started


def _request(key: str, model: str, rows: int = 1, columns: int = 4) -> bytes:
    return KanApi.request(model, np.full((rows, columns), float(key), np.float32), key)


def _open(channel: grpc.aio.Channel, seconds: float | None = 60) -> Any:
    method: Any = channel.stream_stream(KanApi.stream_path, None, pb.PredictStreamResponse.FromString)
    return method(timeout=seconds)


def test_each_message_gets_its_answer(server: KanServe, answer: Any) -> None:
    """Numbers by id as numpy has them; a message that fails gets a failure and ends nothing."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            stream = _open(channel)

            async def write() -> None:
                for index in range(1000):
                    await stream.write(_request(str(index), "affine" if index % 10 else "absent"))
                await stream.done_writing()

            writing = asyncio.create_task(write())
            answers = {one.id: one async for one in stream}
            await writing
            assert await stream.code() is grpc.StatusCode.OK
            assert set(answers) == {str(index) for index in range(1000)}
            for key, one in answers.items():
                if int(key) % 10:
                    values = np.frombuffer(one.prediction.outputs[0].values.raw, "<f4").reshape(1, 1)
                    rows = np.full((1, 4), float(key), np.float32)
                    np.testing.assert_allclose(values, answer("affine", rows), rtol=1e-5)
                else:
                    assert one.failure.code == grpc.StatusCode.NOT_FOUND.value[0]

    asyncio.run(check())


def test_a_client_may_update_its_window_after_each_answer(server: KanServe) -> None:
    """GRPC's clients do: many answers in one frame, and as many WINDOW_UPDATE frames back, are no flood."""
    rounds, together = 10, 50
    several = http2.message(_request("1", "affine")) * together
    with http2.connect(server.grpc) as connection, connection.makefile("rb") as incoming:
        connection.sendall(http2.hello() + http2.call(KanApi.stream_path))
        answers = b""
        for number in range(rounds):
            connection.sendall(http2.frame(http2.DATA, number == rounds - 1, 1, several))
            while answers.count(b"affine") < together * (number + 1):
                high, low, kind, _, stream = struct.unpack(">HBBBL", incoming.read(9))
                payload = incoming.read(high << 8 | low)
                if kind == http2.DATA and stream == 1:
                    answers += payload
            for _ in range(2 * together):
                connection.sendall(http2.window(1, 1))
        kind = flags = 0
        while not (kind == http2.HEADERS and flags & http2.END_STREAM):  # the trailers
            high, low, kind, flags, _ = struct.unpack(">HBBBL", incoming.read(9))
            incoming.read(high << 8 | low)


def test_a_stream_that_is_cancelled_leaves_the_queue(gate: Gate, server: KanServe) -> None:
    """Its waiting requests are not run. Other callers are answered. No other test asks the model slow."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with gate.closed():
                busy = asyncio.ensure_future(predict(channel, "slow", 4096))
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") > 0)
                stream = _open(channel)
                for index in range(16):
                    await stream.write(_request(str(index), "slow", 8))
                await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="slow") == 17)
                stream.cancel()
                await until_elsewhere(
                    lambda: server.sample("kan_rejected_total", model="slow", reason="cancelled") == 16
                )
            assert (await busy).outputs[0].values.rows == 4096

    asyncio.run(check())


@pytest.mark.slow
def test_a_caller_who_does_not_read_is_held_back(start: Start, write_model: WriteModel) -> None:
    """The server reads only as far ahead as its limit. Other callers are answered, and in the end all answers come."""
    write_model("affine")
    server = start("--max-queue-rows", "1000000")
    messages = 600

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            stream = _open(channel)
            payload = _request("1", "affine", 4096)

            async def write() -> None:
                for _ in range(messages):
                    await stream.write(payload)
                await stream.done_writing()

            writing = asyncio.create_task(write())
            await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="affine") >= 64)
            async with grpc.aio.insecure_channel(server.grpc) as other:
                for _ in range(20):
                    await predict(other, "affine")
            count = 0
            async for one in stream:
                count += one.prediction.outputs[0].values.rows == 4096
            await writing
            assert count == messages

    asyncio.run(check())


def test_a_deadline_ends_a_stream(server: KanServe) -> None:
    """A stream that is open when its deadline passes ends with DEADLINE_EXCEEDED, and the server goes on."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            stream = _open(channel, 3)  # long enough for an answer
            await stream.write(_request("1", "affine"))
            assert (await stream.read()).id == "1"
            assert await stream.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            again = _open(channel)
            await again.write(_request("2", "affine"))
            assert (await again.read()).id == "2"
            await again.done_writing()
            assert await again.code() is grpc.StatusCode.OK

    asyncio.run(check())


def test_health_is_watched_until_the_stop(start: Start, write_model: WriteModel) -> None:
    """A watcher sees SERVING, then NOT_SERVING when the server is told to stop, and its stream ends well."""
    write_model("affine")
    server = start()

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            method: Any = channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                health_pb2.HealthCheckRequest.SerializeToString,
                health_pb2.HealthCheckResponse.FromString,
            )
            watch = method(health_pb2.HealthCheckRequest(service="affine"), timeout=60)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            server.process.terminate()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
            assert await watch.code() is grpc.StatusCode.OK
        code, _, _ = await asyncio.to_thread(server.finish)
        assert code == 0

    asyncio.run(check())
