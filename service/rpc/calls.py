"""What a call is, without a transport: bytes in, bytes out, and a status code where it fails.

A front end turns what comes over the wire into a :class:`RequestContext` and bytes, looks the method up in the table
and hands both to :func:`invoke`, :func:`answer_server_stream` or :func:`service.rpc.streams.answer_bidi_stream`. Each
request is measured and counted here, once for every protocol.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from service.errors import AnswerTooLarge, InferenceFailed, InvalidRequest, Overloaded, ServiceError
from service.metrics.metrics import Metrics, ModelMetrics
from service.rpc.context import Metadata as Metadata
from service.rpc.context import RequestContext as RequestContext
from service.rpc.status import Code, RpcError, shorten, status_of
from service.tracing.trace import End

_log = logging.getLogger(__name__)
_M = TypeVar("_M", bound=Message)


# A caller's deadline began to run before the request was here, so the caller may leave this much before ours passes.
_DEADLINE_SLACK_SECONDS = 0.01


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
            _hold(hold, len(answer), metrics.model(call.model, call.version))
    except BaseException as error:
        answer = b""  # it may be large, and what is raised refers to this frame
        failure = _count_failure(method, call, error, time.monotonic() - started, metrics)
        try:
            if isinstance(error, Exception):
                raise failure from error
        finally:
            del failure  # else it refers to itself, and what its frames hold waits for the garbage collector
        raise
    _count(method, call, "OK", time.monotonic() - started, metrics)
    return answer


async def answer_server_stream(
    method: ServerStream, call: RequestContext, request: bytes, metrics: Metrics
) -> AsyncGenerator[bytes, None]:
    """Answer one call many times, and count it once; arguments and errors as those of :func:`invoke`."""
    started = time.monotonic()
    try:
        async with aclosing(method.answers(call, request)) as answers:
            async for answer in answers:
                yield answer
    except BaseException as error:
        failure = _count_failure(method, call, error, time.monotonic() - started, metrics)
        if isinstance(error, Exception):
            raise failure from error
        raise
    _count(method, call, "OK", time.monotonic() - started, metrics)


def _hold(hold: Callable[[int], None], answer_bytes: int, model: ModelMetrics) -> None:
    try:
        hold(answer_bytes)
    except Overloaded:
        model.rejected("overload")
        raise


def count_unread(metrics: Metrics) -> None:
    """Count an answer that its caller did not read, and has lost; the request is counted as answered."""
    metrics.model("", "").rejected("unread")


def count_refusal(method: Method, error: Overloaded, metrics: Metrics) -> RpcError:
    """Count a call that was refused before its handler knew of it; gives what its caller is told."""
    model = _count(method, RequestContext(), Code.RESOURCE_EXHAUSTED.name, 0.0, metrics)
    model.rejected("overload")
    return RpcError(Code.RESOURCE_EXHAUSTED, str(error), error.retry_after_seconds)


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


def _count(method: Method, call: RequestContext, code: str, seconds: float, metrics: Metrics) -> ModelMetrics:
    """Count a call that has ended; gives where it was counted."""
    model = metrics.model(call.model, call.version)
    answered = model.request(method.protocol, code, seconds, call.compute_seconds if call.inference else None)
    if (trace := call.trace) is not None:
        answered.traced(seconds, trace.ids.trace_id)
        if call.inference:
            model.traced(trace.ids.trace_id, trace.queue_seconds, [run.seconds for run in trace.runs])
        trace.finish(End(method.path, code, call.model, call.version, call.request_id, seconds))
    return model


def _count_failure(
    method: Method, call: RequestContext, error: BaseException, seconds: float, metrics: Metrics
) -> RpcError:
    """Count a call that has failed; gives what its caller is told."""
    failure = _failure(method, call, error, seconds)
    failure.request_id = call.request_id
    model = _count(method, call, failure.code.name, seconds, metrics)
    if isinstance(error, InvalidRequest):
        model.rejected("invalid")
    return failure


def _failure(method: Method, call: RequestContext, error: BaseException, seconds: float) -> RpcError:
    """What the caller is told; a mistake of ours is logged in full and told in no detail."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        # A front end cancels the handler too when the deadline passes while it works.
        late = call.deadline is not None and time.monotonic() >= call.deadline - _DEADLINE_SLACK_SECONDS
        return RpcError(Code.DEADLINE_EXCEEDED if late else Code.CANCELLED, "the caller has gone")
    if not isinstance(error, ServiceError):
        fields = call.log_fields(method.path, Code.INTERNAL.name, seconds)
        _log.error("%s failed (%s)", method.path, call.names(), exc_info=error, extra={"call": fields})
        return RpcError(Code.INTERNAL, "the server failed to answer; its log says why")
    if isinstance(error, InferenceFailed):
        fields = call.log_fields(method.path, status_of(error).name, seconds)
        _log.error("%s failed (%s): %s", method.path, call.names(), error, extra={"call": fields})
    retry_after_seconds = error.retry_after_seconds if isinstance(error, Overloaded) else None
    return RpcError(status_of(error), shorten(str(error)), retry_after_seconds)
