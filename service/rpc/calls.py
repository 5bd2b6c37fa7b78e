"""What a call is, without a transport: bytes in, bytes out, and a status code where it fails.

A front end turns what comes over the wire into a :class:`RequestContext` and bytes, looks the method up in the table
and hands both to :func:`invoke`, :func:`answer_server_stream` or :func:`service.rpc.streams.answer_bidi_stream`. Each
request is measured and counted here, once for every protocol.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from service.errors import AnswerTooLarge, InvalidRequest, ServiceError
from service.metrics.metrics import Metrics
from service.rpc.ending import count, count_failure, count_refusal, hold_answer
from service.rpc.request import RequestContext
from service.rpc.status import RpcError

__all__ = ["BidiStream", "Method", "RequestContext", "ServerStream", "Unary"]

_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True)
class Unary:
    """A method with one answer.

    Args:
        path: Full gRPC path, "/package.Service/Method".
        protocol: Word for the metrics' label.
        answer: The handler; raises a ServiceError where it cannot answer.
    """

    path: str
    protocol: str
    answer: Callable[[RequestContext, bytes], Awaitable[bytes]]


@dataclass(frozen=True)
class ServerStream:
    """A method with many answers to one request; arguments as those of :class:`Unary`."""

    path: str
    protocol: str
    answers: Callable[[RequestContext, bytes], AsyncGenerator[bytes, None]]


@dataclass(frozen=True)
class BidiStream:
    """A method that takes many requests on one stream and answers each, in the order in which answers are ready.

    Args:
        path: As of :class:`Unary`.
        protocol: As of :class:`Unary`.
        answer: As of :class:`Unary`; called for each request, for many at once.
        failure: What is sent in the place of an answer: from the request and what its caller is told. Never raises.
    """

    path: str
    protocol: str
    answer: Callable[[RequestContext, bytes], Awaitable[bytes]]
    failure: Callable[[bytes, RpcError], bytes]


Method = Unary | ServerStream | BidiStream


def table(methods: Iterable[Method]) -> Mapping[str, Method]:
    """The methods by path.

    Raises:
        ValueError: Two methods have the same path.
    """
    found: dict[str, Method] = {}
    for method in methods:
        if method.path in found:
            raise ValueError(f"two methods have the path {method.path}")
        found[method.path] = method
    return found


async def invoke(
    method: Unary | BidiStream,
    call: RequestContext,
    request: bytes,
    metrics: Metrics,
    max_answer_bytes: int,
    hold: Callable[[int], None] | None = None,
) -> bytes:
    """Answer one call, and count it.

    Args:
        method: From the table.
        call: Gets the model and version that answered.
        request: The message as it came over the wire.
        metrics: Where the call is counted, whatever becomes of it.
        max_answer_bytes: Longest answer that the transport takes.
        hold: Is told the length of the answer; raises Overloaded where there is no room for it.

    Returns:
        The answer as it goes over the wire.

    Raises:
        RpcError: The call failed.
    """
    started = time.monotonic()
    if call.head is not None:
        call.trace = call.head.begin(call.traceparent, call.metadata, started)
    answer = b""
    try:
        answer = await method.answer(call, request)
        if len(answer) > max_answer_bytes:
            raise AnswerTooLarge(
                f"the answer has {len(answer)} bytes, more than the {max_answer_bytes} of max_message_bytes; "
                "send fewer rows at a time"
            )
        if hold is not None:
            hold_answer(hold, len(answer), metrics.model(call.model, call.version))
    except BaseException as error:
        answer = b""  # it may be large, and what is raised refers to this frame
        failure = count_failure(method, call, error, time.monotonic() - started, metrics)
        try:
            if isinstance(error, Exception):
                raise failure from error
        finally:
            del failure  # else it refers to itself, and what its frames hold waits for the garbage collector
        raise
    count(method, call, "OK", time.monotonic() - started, metrics)
    return answer


async def answer_server_stream(
    method: ServerStream, call: RequestContext, request: bytes, metrics: Metrics
) -> AsyncGenerator[bytes, None]:
    """Answer one call many times, and count it once; arguments and errors as those of :func:`invoke`."""
    started = time.monotonic()
    try:
        async with aclosing(method.answers(call, request)) as answers:
            async for answer in answers:
                call.caller = call.caller.renewed(method.path)
                yield answer
    except BaseException as error:
        failure = count_failure(method, call, error, time.monotonic() - started, metrics)
        if isinstance(error, Exception):
            raise failure from error
        raise
    count(method, call, "OK", time.monotonic() - started, metrics)


def next_request(method: BidiStream, stream: RequestContext, metrics: Metrics) -> RequestContext:
    """The context of a stream's next request.

    Raises:
        RpcError: The caller has lost the right to call the method since the stream began; it is counted.
    """
    try:
        return stream.request_of_stream(method.path)
    except ServiceError as error:
        raise count_refusal(method, error, metrics, stream) from error


def parse(message: type[_M], request: bytes) -> _M:
    """The message in these bytes.

    Raises:
        InvalidRequest: They do not hold one.
    """
    try:
        return message.FromString(request)
    except DecodeError:
        raise InvalidRequest(
            f"the request's {len(request)} bytes are no {message.DESCRIPTOR.full_name}; wanted one in protobuf encoding"
        ) from None


def read_name(name: str, field: str) -> str:
    """The model that a request names.

    In protobuf a field that is missing is empty. Envoy drops keys of JSON that it does not know.

    Args:
        name: What the request has.
        field: What the protocol calls this field.

    Raises:
        InvalidRequest: It is empty.
    """
    if not name:
        raise InvalidRequest(
            f"{field} is missing or empty; wanted the name of a model (in JSON a misspelt key counts as missing)"
        )
    return name
