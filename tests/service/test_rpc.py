import asyncio
import logging
from collections.abc import AsyncGenerator

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from service import errors
from service.errors import InvalidRequest, ModelNotFound, Overloaded, ServiceError
from service.metrics import Metrics
from service.rpc import CODES, Call, Code, RpcError, Stream, Unary, invoke, parse, status_of, stream, table


def _failing(error: BaseException) -> Unary:
    async def answer(call: Call, request: bytes) -> bytes:
        raise error

    return Unary("/a.B/C", "test", answer)


def _count(metrics: Metrics, code: str, model: str = "", version: str = "") -> float:
    labels = {"model": model, "version": version, "protocol": "test", "code": code}
    return metrics.registry.get_sample_value("kan_requests_total", labels) or 0


def test_codes_are_those_of_grpc() -> None:
    """Names and numbers are gRPC's own."""
    assert {code.name: code.value for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_every_error_has_a_code() -> None:
    """Every leaf of the error tree is in the table."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]
    leaves = {kind for kind in kinds if not kind.__subclasses__()}
    assert leaves == set(CODES)


def test_a_subclass_has_the_code_of_its_base() -> None:
    """An error refined elsewhere keeps its status."""

    class TooWide(InvalidRequest):
        pass

    assert status_of(TooWide("")) is Code.INVALID_ARGUMENT


def test_an_answer_is_counted_once_with_its_model() -> None:
    """A call that succeeds is one request with code OK under the labels that the handler found."""
    metrics = Metrics()

    async def answer(call: Call, request: bytes) -> bytes:
        call.model, call.version = "digits", "3"
        return request[::-1]

    assert asyncio.run(invoke(Unary("/a.B/C", "test", answer), Call(), b"abc", metrics, 100)) == b"cba"
    assert _count(metrics, "OK", "digits", "3") == 1
    labels = {"model": "digits", "version": "3", "protocol": "test"}
    assert metrics.registry.get_sample_value("kan_request_duration_seconds_count", labels) == 1


def test_an_error_is_told_with_its_code_and_counted() -> None:
    """A service error becomes its status with its own words; only InvalidRequest counts as rejected here."""
    metrics = Metrics()
    for error, code in ((Overloaded("full"), "RESOURCE_EXHAUSTED"), (InvalidRequest("bad"), "INVALID_ARGUMENT")):
        with pytest.raises(RpcError, match=str(error)) as caught:
            asyncio.run(invoke(_failing(error), Call(), b"", metrics, 100))
        assert caught.value.code.name == code
        assert _count(metrics, code) == 1
    rejected = {
        reason: metrics.registry.get_sample_value("kan_rejected_total", {"model": "", "version": "", "reason": reason})
        for reason in ("invalid", "overload")
    }
    assert rejected == {"invalid": 1, "overload": 0}


def test_an_answer_that_no_message_holds_is_refused_and_counted() -> None:
    """Longer than the transport takes: RESOURCE_EXHAUSTED with what to do, in the metrics as in the answer."""
    metrics = Metrics()

    async def answer(call: Call, request: bytes) -> bytes:
        return bytes(101)

    with pytest.raises(RpcError, match="101 bytes, more than the 100 of max_message_bytes; send fewer rows") as caught:
        asyncio.run(invoke(Unary("/a.B/C", "test", answer), Call(), b"", metrics, 100))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert _count(metrics, "RESOURCE_EXHAUSTED") == 1


def test_a_mistake_of_ours_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is INTERNAL; its text stays in the log, with the traceback."""
    with pytest.raises(RpcError) as caught, caplog.at_level(logging.ERROR):
        asyncio.run(invoke(_failing(KeyError("secret")), Call(), b"", Metrics(), 100))
    assert caught.value.code is Code.INTERNAL
    assert "secret" not in caught.value.message
    assert "secret" in caplog.text
    assert "Traceback" in caplog.text


def test_a_long_name_does_not_burst_the_trailers() -> None:
    """A message holds at most some hundred characters, whatever the caller sent, and keeps both of its ends."""
    with pytest.raises(RpcError) as caught:
        asyncio.run(
            invoke(_failing(ModelNotFound("model " + "é" * 100_000 + " is unknown")), Call(), b"", Metrics(), 100)
        )
    assert len(caught.value.message) < 600
    assert caught.value.message.startswith("model é")
    assert caught.value.message.endswith("is unknown")


@pytest.mark.parametrize(
    ("deadline", "code"), [(None, "CANCELLED"), (float("inf"), "CANCELLED"), (0, "DEADLINE_EXCEEDED")]
)
def test_a_caller_who_leaves_is_counted(deadline: float | None, code: str) -> None:
    """Cancelling the handler is passed on, and counted as what it was: a cancel, or a deadline that passed."""
    metrics = Metrics()

    async def leave() -> None:
        entered = asyncio.Event()

        async def answer(call: Call, request: bytes) -> bytes:
            entered.set()
            await asyncio.Event().wait()
            return b""

        task = asyncio.create_task(invoke(Unary("/a.B/C", "test", answer), Call(deadline), b"", metrics, 100))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert _count(metrics, code) == 1


def test_a_stream_is_one_request() -> None:
    """Many answers to one request count once, when the stream ends."""
    metrics = Metrics()

    async def answers(call: Call, request: bytes) -> AsyncGenerator[bytes, None]:
        for byte in request:
            yield bytes([byte])

    async def collect() -> list[bytes]:
        return [answer async for answer in stream(Stream("/a.B/C", "test", answers), Call(), b"abc", metrics)]

    assert asyncio.run(collect()) == [b"a", b"b", b"c"]
    assert _count(metrics, "OK") == 1


def test_bytes_that_do_not_parse_are_an_invalid_request() -> None:
    """Bytes that are no message are the caller's mistake."""
    assert parse(StringValue, StringValue(value="x").SerializeToString()).value == "x"
    with pytest.raises(InvalidRequest, match=r"2 bytes are no google\.protobuf\.StringValue"):
        parse(StringValue, b"\x0a\xff")


def test_two_methods_of_one_path_are_refused() -> None:
    """A method cannot hide another."""
    method = _failing(KeyError())
    assert table([method]) == {"/a.B/C": method}
    with pytest.raises(ValueError, match="two methods have the path"):
        table([method, method])
