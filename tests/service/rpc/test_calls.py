import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from service.errors import InvalidRequest, ModelNotFound, Overloaded
from service.metrics.metrics import Metrics
from service.rpc.admission import Admission, Held
from service.rpc.bounds import Bounds
from service.rpc.calls import (
    BidiStream,
    RequestContext,
    ServerStream,
    Unary,
    answer_server_stream,
    invoke,
    parse,
    table,
)
from service.rpc.limits import MESSAGES_IN_FLIGHT
from service.rpc.status import Code, RpcError, status_of
from service.rpc.streams import answer_bidi_stream


def _failing(error: BaseException) -> Unary:
    async def answer(call: RequestContext, request: bytes) -> bytes:
        raise error

    return Unary("/a.B/C", "test", answer)


def _count(metrics: Metrics, code: str, model: str = "", version: str = "") -> float:
    labels = {"model": model, "version": version, "protocol": "test", "code": code}
    return metrics.registry.get_sample_value("kan_requests_total", labels) or 0


def test_a_subclass_has_the_code_of_its_base() -> None:
    """An error refined elsewhere keeps its status."""

    class TooWide(InvalidRequest):
        pass

    assert status_of(TooWide("")) is Code.INVALID_ARGUMENT


def test_an_answer_is_counted_once_with_its_model() -> None:
    """A call that succeeds is one request with code OK under the labels that the handler found."""
    metrics = Metrics()

    async def answer(call: RequestContext, request: bytes) -> bytes:
        call.model, call.version = "digits", "3"
        return request[::-1]

    assert asyncio.run(invoke(Unary("/a.B/C", "test", answer), RequestContext(), b"abc", metrics, 100)) == b"cba"
    assert _count(metrics, "OK", "digits", "3") == 1
    labels = {"model": "digits", "version": "3", "protocol": "test"}
    assert metrics.registry.get_sample_value("kan_request_duration_seconds_count", labels) == 1


def test_calls_for_inference_make_the_models_statistics() -> None:
    """Answered and failed ones apart, with the time of their runs; other calls are left out."""
    metrics = Metrics()

    async def answer(call: RequestContext, request: bytes) -> bytes:
        call.model, call.version, call.inference, call.compute_seconds = "digits", "3", request != b"list", 0.25
        if request == b"bad":
            raise InvalidRequest("bad")
        return request

    async def calls() -> None:
        for request in (b"good", b"list", b"bad"):
            with suppress(RpcError):
                await invoke(Unary("/a.B/C", "test", answer), RequestContext(), request, metrics, 100)

    asyncio.run(calls())
    statistics = metrics.model("digits", "3").statistics()
    assert (statistics.success.count, statistics.fail.count) == (1, 1)
    assert (statistics.compute.count, statistics.compute.seconds) == (1, 0.25)
    assert _count(metrics, "OK", "digits", "3") == 2


def test_an_error_is_told_with_its_code_and_counted() -> None:
    """A service error becomes its status with its own words; only InvalidRequest counts as rejected here."""
    metrics = Metrics()
    for error, code in ((Overloaded("full"), "RESOURCE_EXHAUSTED"), (InvalidRequest("bad"), "INVALID_ARGUMENT")):
        with pytest.raises(RpcError, match=str(error)) as caught:
            asyncio.run(invoke(_failing(error), RequestContext(), b"", metrics, 100))
        assert caught.value.code.name == code
        assert _count(metrics, code) == 1
    rejected = {
        reason: metrics.registry.get_sample_value("kan_rejected_total", {"model": "", "version": "", "reason": reason})
        for reason in ("invalid", "overload")
    }
    assert rejected == {"invalid": 1, "overload": 0}


def test_an_answer_that_no_message_holds_is_refused_and_counted() -> None:
    """An answer above the transport's limit: RESOURCE_EXHAUSTED with advice, in the answer and the metrics."""
    metrics = Metrics()

    async def answer(call: RequestContext, request: bytes) -> bytes:
        return bytes(101)

    with pytest.raises(RpcError, match="max_message_bytes") as caught:
        asyncio.run(invoke(Unary("/a.B/C", "test", answer), RequestContext(), b"", metrics, 100))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert _count(metrics, "RESOURCE_EXHAUSTED") == 1


def test_a_mistake_of_ours_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is INTERNAL; its text stays in the log, with the traceback."""
    with pytest.raises(RpcError) as caught, caplog.at_level(logging.ERROR):
        asyncio.run(invoke(_failing(KeyError("secret")), RequestContext(), b"", Metrics(), 100))
    assert caught.value.code is Code.INTERNAL
    assert "secret" not in caught.value.message
    assert "secret" in caplog.text
    assert "Traceback" in caplog.text


def test_a_long_name_does_not_burst_the_trailers() -> None:
    """A message holds at most some hundred characters, whatever the caller sent, and keeps both of its ends."""
    with pytest.raises(RpcError) as caught:
        asyncio.run(
            invoke(
                _failing(ModelNotFound("model " + "é" * 100_000 + " is unknown")), RequestContext(), b"", Metrics(), 100
            )
        )
    assert len(caught.value.message) < 600
    assert caught.value.message.startswith("model é")
    assert caught.value.message.endswith("is unknown")


@pytest.mark.parametrize(
    ("deadline", "code"), [(None, "CANCELLED"), (float("inf"), "CANCELLED"), (0, "DEADLINE_EXCEEDED")]
)
def test_a_caller_who_leaves_is_counted(deadline: float | None, code: str) -> None:
    """A cancelled handler raises further, and is counted by its cause: a cancel, or a deadline that passed."""
    metrics = Metrics()

    async def leave() -> None:
        entered = asyncio.Event()

        async def answer(call: RequestContext, request: bytes) -> bytes:
            entered.set()
            await asyncio.Event().wait()
            return b""

        task = asyncio.create_task(invoke(Unary("/a.B/C", "test", answer), RequestContext(deadline), b"", metrics, 100))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert _count(metrics, code) == 1


def test_a_stream_is_one_request() -> None:
    """Many answers to one request count once, when the stream ends."""
    metrics = Metrics()

    async def answers(call: RequestContext, request: bytes) -> AsyncGenerator[bytes, None]:
        for byte in request:
            yield bytes([byte])

    async def collect() -> list[bytes]:
        return [
            answer
            async for answer in answer_server_stream(
                ServerStream("/a.B/C", "test", answers), RequestContext(), b"abc", metrics
            )
        ]

    assert asyncio.run(collect()) == [b"a", b"b", b"c"]
    assert _count(metrics, "OK") == 1


async def _requests(messages: list[bytes], *, read: list[bytes], wait: bool = False) -> AsyncIterator[bytes]:
    """The messages of a caller; records which were read. With `wait` the stream stays open without more messages."""
    for message in messages:
        read.append(message)
        yield message
    if wait:
        await asyncio.Event().wait()


def _held(held_bytes: int = 2**20) -> Held:
    """The place of a stream, with room for so much."""
    return Admission(Bounds(calls=1, streams=1, held_bytes=held_bytes)).admit(stream=True, cancel=lambda: None)


def _conversation(
    method: BidiStream, requests: AsyncIterator[bytes], metrics: Metrics, stopping: asyncio.Event | None = None
) -> AsyncGenerator[bytes, None]:
    """Answers one by one."""

    async def answers() -> AsyncGenerator[bytes, None]:
        together = answer_bidi_stream(
            method, RequestContext(), _held(), requests, metrics, 100, stopping or asyncio.Event()
        )
        async with aclosing(together) as ready:
            async for several in ready:
                for one in several:
                    yield one

    return answers()


def _failure(request: bytes, error: RpcError) -> bytes:
    return request + b":" + error.code.name.encode()


def test_each_request_of_a_stream_counts_and_fails_alone() -> None:
    """Each answer comes when it is ready, a failure in place of an answer.

    Each counts as a request with its own code.
    """
    metrics = Metrics()

    async def answer(call: RequestContext, request: bytes) -> bytes:
        if request == b"late":
            await last.wait()
        if request == b"bad":
            raise InvalidRequest("bad")
        if request == b"last":
            last.set()
        return bytes(101) if request == b"long" else request

    async def collect() -> list[bytes]:
        requests = _requests([b"late", b"bad", b"long", b"last"], read=[])
        return [one async for one in _conversation(BidiStream("/a.B/C", "test", answer, _failure), requests, metrics)]

    last = asyncio.Event()
    assert asyncio.run(collect()) == [b"bad:INVALID_ARGUMENT", b"long:RESOURCE_EXHAUSTED", b"last", b"late"]
    codes = ("OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
    assert [_count(metrics, code) for code in codes] == [2, 1, 1]


def test_a_stream_is_read_as_far_as_answers_are_taken() -> None:
    """At first as many requests are read as may be in flight, then one more for each answer that is taken."""

    async def answer(call: RequestContext, request: bytes) -> bytes:
        return request

    async def check() -> None:
        read: list[bytes] = []
        requests = _requests([b"x"] * 1000, read=read)
        method = BidiStream("/a.B/C", "test", answer, _failure)
        taken = 0
        async with aclosing(
            answer_bidi_stream(method, RequestContext(), _held(), requests, Metrics(), 100, asyncio.Event())
        ) as answers:
            async for several in answers:
                for _ in range(1000):  # turns enough to read them all
                    await asyncio.sleep(0)
                assert len(read) == min(MESSAGES_IN_FLIGHT + taken, 1000)
                taken += len(several)
        assert taken == 1000

    asyncio.run(check())


def test_a_stream_that_is_closed_cancels_what_it_holds() -> None:
    """Each request of a closed stream that is in flight is cancelled and counted."""
    metrics = Metrics()

    async def answer(call: RequestContext, request: bytes) -> bytes:
        if request == b"x":
            await asyncio.Event().wait()
        return request

    async def check() -> None:
        requests = _requests([b"x", b"x", b"y"], read=[], wait=True)
        async with aclosing(
            _conversation(BidiStream("/a.B/C", "test", answer, _failure), requests, metrics)
        ) as answers:
            assert await anext(answers) == b"y"
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(check())
    assert _count(metrics, "CANCELLED") == 2
    assert _count(metrics, "OK") == 1


def test_a_server_that_stops_answers_what_it_has_read() -> None:
    """After the stop no more requests are read.

    Requests that were read are answered, then UNAVAILABLE ends the stream.
    """
    working = asyncio.Event()

    async def answer(call: RequestContext, request: bytes) -> bytes:
        if request == b"slow":
            await working.wait()
        return request

    async def check() -> None:
        stopping = asyncio.Event()
        requests = _requests([b"slow", b"quick"], read=[], wait=True)
        method = BidiStream("/a.B/C", "test", answer, _failure)
        async with aclosing(_conversation(method, requests, Metrics(), stopping)) as answers:
            assert await anext(answers) == b"quick"
            stopping.set()
            asyncio.get_running_loop().call_later(0.01, working.set)
            assert await anext(answers) == b"slow"
            with pytest.raises(RpcError, match="stopping") as caught:
                await anext(answers)
        assert caught.value.code is Code.UNAVAILABLE

    asyncio.run(check())


def test_a_transport_that_fails_ends_its_stream() -> None:
    """The error of the transport is raised after the answers to all requests that were read."""

    async def answer(call: RequestContext, request: bytes) -> bytes:
        return request

    async def requests() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError("gone")

    async def check() -> None:
        method = BidiStream("/a.B/C", "test", answer, _failure)
        async with aclosing(_conversation(method, requests(), Metrics())) as answers:
            assert await anext(answers) == b"x"
            with pytest.raises(ConnectionResetError, match="gone"):
                await anext(answers)

    asyncio.run(check())


def test_bytes_that_do_not_parse_are_an_invalid_request() -> None:
    """Bytes that are no message are the caller's mistake."""
    assert parse(StringValue, StringValue(value="x").SerializeToString()).value == "x"
    with pytest.raises(InvalidRequest, match="StringValue"):
        parse(StringValue, b"\x0a\xff")


def test_two_methods_of_one_path_are_refused() -> None:
    """A method cannot hide another."""
    method = _failing(KeyError())
    assert table([method]) == {"/a.B/C": method}
    with pytest.raises(ValueError, match="path"):
        table([method, method])
