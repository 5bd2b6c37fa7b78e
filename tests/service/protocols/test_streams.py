"""Streams of requests over a real socket, in both protocols."""

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.kit.callers.protocols import PROTOCOLS, Protocol
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import Serving, stop_here
from tests.kit.server.metrics import counted
from tests.kit.waiting import until

Rows = NDArray[np.float32]

_ROWS = np.array([[0.5, -1, 2, 0], [1, 1, 1, 1], [-3, 0.25, 0, 8]], np.float32)


both = pytest.mark.parametrize("protocol", PROTOCOLS)


def _open(channel: grpc.aio.Channel, protocol: Protocol, seconds: float = 60) -> Any:
    method: Any = channel.stream_stream(protocol.stream_path)
    return method(timeout=seconds)


async def _ask(channel: grpc.aio.Channel, protocol: Protocol, messages: Iterable[bytes]) -> list[tuple[str, str, Any]]:
    """All answers to some messages, in the order of their arrival. Writing and reading overlap."""
    stream = _open(channel, protocol)

    async def write() -> None:
        for message in messages:
            await stream.write(message)
        await stream.done_writing()

    writing = asyncio.create_task(write())
    answers = [protocol.stream_answer(data)[:3] async for data in stream]
    await writing
    return answers


@both
def test_many_requests_share_one_stream(
    gate: Gate, serving: Serving, write_model: WriteModel, answer: Answer, protocol: Protocol
) -> None:
    """Each request gets numpy's answer with its id, in fewer runs than there are requests."""
    write_model("slow")
    rows = np.arange(200 * 4, dtype=np.float32).reshape(200, 1, 4)

    async def check() -> None:
        async with serving() as (server, channel):
            messages = [protocol.request("slow", row, str(index)) for index, row in enumerate(rows)]
            with gate.closed():
                asking = asyncio.create_task(_ask(channel, protocol, messages))
                await until(lambda: counted(server, "kan_request_rows_count", model="slow") >= 10)
            answers = await asking
            assert {code for _, code, _ in answers} == {"OK"}
            values = {int(key): float(value[0]) for key, _, value in answers}
            expected = answer("slow", rows[:, 0])[:, 0]
            np.testing.assert_allclose([values[index] for index in range(200)], expected, rtol=1e-4)
            assert counted(server, "kan_batch_rows_count", model="slow") < 200
            assert _requests(server, "slow", protocol, "OK") == 200

    asyncio.run(check())


@both
def test_answers_overtake(gate: Gate, serving: Serving, write_model: WriteModel, protocol: Protocol) -> None:
    """A quick request does not wait for a slow one that was sent before it on the same stream."""
    write_model("slow")
    write_model("affine")

    async def check() -> None:
        async with serving() as (_, channel):
            stream = _open(channel, protocol)
            with gate.closed():
                await stream.write(protocol.request("slow", _ROWS, "slow"))
                await stream.write(protocol.request("affine", _ROWS, "quick"))
                assert protocol.stream_answer(await stream.read())[:2] == ("quick", "OK")
            assert protocol.stream_answer(await stream.read())[:2] == ("slow", "OK")

    asyncio.run(check())


@both
def test_a_request_that_fails_ends_nothing(serving: Serving, write_model: WriteModel, protocol: Protocol) -> None:
    """The answer of each wrong request has its error code, and is counted. The others are answered."""
    write_model("affine")
    mistakes = [
        (protocol.request("affine", _ROWS[:, :3], "narrow"), "narrow", "INVALID_ARGUMENT", "has 3 columns"),
        (protocol.request("absent", _ROWS, "absent"), "absent", "NOT_FOUND", "affine"),
        (protocol.request("affine", np.full_like(_ROWS, np.inf), "inf"), "inf", "INVALID_ARGUMENT", "wanted a finite"),
        (b"\xff\xff", "", "INVALID_ARGUMENT", "2 bytes are no"),
        (b"", "", "INVALID_ARGUMENT", "is missing or empty; wanted the name of a model"),
    ]

    async def check() -> None:
        async with serving() as (server, channel):
            right = [protocol.request("affine", _ROWS, f"right{index}") for index in range(len(mistakes))]
            wrong = [message for message, *_ in mistakes]
            answers = await _ask(channel, protocol, [one for pair in zip(wrong, right, strict=True) for one in pair])
            assert sorted(key for key, code, _ in answers if code == "OK") == [
                f"right{i}" for i in range(len(mistakes))
            ]
            failures = [(key, code, message) for key, code, message in answers if code != "OK"]
            assert len(failures) == len(mistakes)
            for _, key, code, message in mistakes:
                assert any(f[:2] == (key, code) and message in f[2] for f in failures), (key, failures)
            assert _requests(server, "affine", protocol, "OK") == len(mistakes)
            assert _requests(server, "affine", protocol, "INVALID_ARGUMENT") == 2

    asyncio.run(check())


@pytest.mark.slow
@both
def test_a_stream_cannot_flood_the_queue(
    gate: Gate, serving: Serving, write_model: WriteModel, protocol: Protocol
) -> None:
    """However many requests are sent at once, no more wait than the queue holds: the stream is read no further."""
    write_model("slow")

    async def check() -> None:
        async with serving(max_queue_rows=64, max_request_rows=64) as (server, channel):
            messages = [protocol.request("slow", _ROWS[:1], str(index)) for index in range(500)]
            with gate.closed():
                asking = asyncio.create_task(_ask(channel, protocol, messages))
                await until(lambda: counted(server, "kan_queue_rows", model="slow") >= 63)  # and one runs
            answers = await asking
            assert [code for _, code, _ in answers] == ["OK"] * 500

    asyncio.run(check())


@both
def test_a_caller_who_leaves_a_stream_takes_nobody_along(
    gate: Gate, serving: Serving, write_model: WriteModel, protocol: Protocol
) -> None:
    """Cancelling a stream drops its rows and counts each request; another stream's requests are answered."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            leaving = _open(channel, protocol)
            with gate.closed():
                for index in range(8):
                    await leaving.write(protocol.request("slow", np.ones((512, 4), np.float32), str(index)))
                await until(lambda: counted(server, "kan_request_rows_count", model="slow") == 8)
                staying = asyncio.create_task(_ask(channel, protocol, [protocol.request("slow", _ROWS, "stays")]))
                await until(lambda: counted(server, "kan_request_rows_count", model="slow") == 9)
                leaving.cancel()
                await until(lambda: _requests(server, "slow", protocol, "CANCELLED") == 8)
            assert [(key, code) for key, code, _ in await staying] == [("stays", "OK")]
            assert _requests(server, "slow", protocol, "OK") == 1
            assert counted(server, "kan_batch_rows_sum", model="slow") == 512 + len(
                _ROWS
            )  # the run under way, and who stayed

    asyncio.run(check())


@both
def test_a_stream_has_one_deadline(gate: Gate, serving: Serving, write_model: WriteModel, protocol: Protocol) -> None:
    """At the deadline, unanswered requests end with the stream, and are counted as DEADLINE_EXCEEDED."""
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):

            async def read_on(stream: Any) -> None:
                while True:
                    # The server may see it first, and say so in the request's place.
                    assert protocol.stream_answer(await stream.read())[1] == "DEADLINE_EXCEEDED"

            with gate.closed():
                stream = _open(channel, protocol, seconds=2)  # long enough for both to arrive
                await stream.write(protocol.request("slow", _ROWS, "runs"))
                await stream.write(protocol.request("slow", _ROWS, "waits"))
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await read_on(stream)
                assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                await until(lambda: _requests(server, "slow", protocol, "DEADLINE_EXCEEDED") == 2)

    asyncio.run(check())


@both
def test_a_stop_answers_what_was_read_and_ends_the_stream(
    gate: Gate, serving: Serving, write_model: WriteModel, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that were accepted are answered, the stream ends as UNAVAILABLE, and an idle one holds up no stop."""
    monkeypatch.setattr("service.process.server_parts.LONGEST_READ_SECONDS", 600.0)
    write_model("slow")

    async def check() -> None:
        async with serving() as (server, channel):
            idle, busy = _open(channel, protocol), _open(channel, protocol)
            await idle.write(protocol.request("slow", _ROWS, "first"))
            assert protocol.stream_answer(await idle.read())[1] == "OK"
            with gate.closed():
                for index in range(8):
                    await busy.write(protocol.request("slow", _ROWS, str(index)))
                await until(lambda: counted(server, "kan_request_rows_count", model="slow") == 9)
                stop = asyncio.create_task(stop_here(server, grace_seconds=600))
                await asyncio.sleep(0)
            async with asyncio.timeout(60):
                answers = [protocol.stream_answer(await busy.read())[:3] for _ in range(8)]
                assert sorted((key, code) for key, code, _ in answers) == [(str(index), "OK") for index in range(8)]
                for stream in (idle, busy):
                    with pytest.raises(grpc.aio.AioRpcError, match="stopping") as caught:
                        await stream.read()
                    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
                await stop

    asyncio.run(check())


@both
def test_a_message_past_the_bound_ends_its_stream_alone(
    serving: Serving, write_model: WriteModel, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    """A request larger than max_message_bytes is refused by gRPC itself; the server lives, and logs no fault."""
    write_model("affine")

    async def check() -> None:
        async with serving(max_message_bytes=2048) as (_, channel):
            stream = _open(channel, protocol)
            await stream.write(protocol.request("affine", np.zeros((256, 4), np.float32), "big"))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            answers = await _ask(channel, protocol, [protocol.request("affine", _ROWS, "small")])
            assert [(key, code) for key, code, _ in answers] == [("small", "OK")]

    asyncio.run(check())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@both
def test_a_stream_without_requests_ends_well(serving: Serving, write_model: WriteModel, protocol: Protocol) -> None:
    """It gets no answer and the status OK."""
    write_model("affine")

    async def check() -> None:
        async with serving() as (_, channel):
            assert await _ask(channel, protocol, []) == []

    asyncio.run(check())


@both
def test_no_bytes_on_a_stream_are_internal(serving: Serving, write_model: WriteModel, protocol: Protocol) -> None:
    """For any bytes, each message gets one answer, never INTERNAL, and the stream goes on."""
    write_model("affine")
    whole = protocol.request("affine", _ROWS, "a7")

    def mutated(cut: int, length: int, junk: bytes) -> bytes:
        return whole[:cut] + junk + whole[cut + length :]

    mutations = st.builds(mutated, st.integers(0, len(whole)), st.integers(0, 3), st.binary(max_size=3))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.binary(max_size=64) | mutations, max_size=20))
    def throw(messages: list[bytes]) -> None:
        answers = runner.run(_ask(channel, protocol, [*messages, whole]))
        assert len(answers) == len(messages) + 1
        assert {code for _, code, _ in answers} <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED"}
        assert any((key, code) == ("a7", "OK") for key, code, _ in answers)

    with asyncio.Runner() as runner:
        context = serving(max_request_rows=64)
        _, channel = runner.run(context.__aenter__())
        try:
            throw()
        finally:
            runner.run(context.__aexit__(None, None, None))


def _requests(server: Any, model: str, protocol: Protocol, code: str) -> float:
    return counted(server, "kan_requests_total", model=model, protocol=protocol.name, code=code)
