"""The table of methods as an ASGI application: what an HTTP server hands over becomes a Call and bytes.

Each gRPC call is one ASGI http scope (ASGI 3, with the extension http.response.trailers): the body holds the messages,
grpc-timeout and the compression are headers, the status goes into the trailers.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from typing import Any, TypeAlias

from service import rpc
from service.frontends import framing
from service.frontends.framing import Deframer
from service.metrics import Metrics
from service.rpc import Call, Duplex, Method, Stream, Unary
from service.status import Code, RpcError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)

_OK_TRAILERS = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}
_LAST_PIECE = {"type": "http.response.body", "body": b"", "more_body": False}
_CONTENT_TYPE = b"application/grpc"

_LATE = RpcError(Code.DEADLINE_EXCEEDED, "the deadline passed before the answer was ready")
_STOPPED = RpcError(Code.UNAVAILABLE, "the server stopped before the answer was ready")

# A caller who leaves is not told of: it has to be asked for, call by call. Calls that are answered sooner are not.
_WATCH_SECONDS = 0.05


class AsgiFront:
    """The methods as an ASGI application. Lives on one event loop.

    Args:
        methods: By full path.
        metrics: Where calls are counted.
        max_message_bytes: Largest message, either way.
        compression: How answers are compressed for callers who take it: "gzip", "deflate" or "none".
    """

    def __init__(
        self, methods: Mapping[str, Method], metrics: Metrics, *, max_message_bytes: int, compression: str
    ) -> None:
        self.port = 0
        self._methods = methods
        self._metrics = metrics
        self._max_message_bytes = max_message_bytes
        self._compressions = () if compression == "none" else (compression,)
        self._stopping = asyncio.Event()
        self._open: set[_Open] = set()
        self._all_closed = asyncio.Event()
        self._watch = asyncio.create_task(self._watch_callers(), name="watch callers")

    async def stop(self, grace_seconds: float) -> None:
        """Wait for calls that are being answered; streams of requests are read no further.

        Args:
            grace_seconds: Longest wait; calls still open then are cancelled.
        """
        self._stopping.set()
        self._settle()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._all_closed.wait()
        except TimeoutError:
            for each in self._open:
                each.task.cancel()
        self._watch.cancel()
        await asyncio.gather(self._watch, *(each.task for each in self._open), return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        headers = dict(scope["headers"])
        if not headers.get(b"content-type", b"").startswith(_CONTENT_TYPE):
            await _refuse_http(send)
            return
        method = self._methods.get(scope["path"])
        try:
            if method is None:
                raise RpcError(Code.UNIMPLEMENTED, f"there is no method {scope['path']!r}")
            deadline = None
            if (timeout := headers.get(b"grpc-timeout")) is not None:
                deadline = time.monotonic() + framing.timeout_seconds(timeout)
            encoding = headers.get(b"grpc-encoding", b"identity").decode("latin-1")
            deframer = Deframer(self._max_message_bytes, encoding)
            answering = "identity"
            if self._compressions:
                answering = framing.accepted_encoding(headers.get(b"grpc-accept-encoding", b""), self._compressions)
        except RpcError as error:
            await _end(send, error, started=False)
            return
        task = asyncio.current_task()
        assert task is not None  # an ASGI server runs each call as one
        call = _Open(task, receive, send, deadline, answering)
        self._open.add(call)
        try:
            await self._answer(method, call, deframer)
        except RpcError as error:
            await _end(send, error, started=call.started)
        except asyncio.CancelledError:
            if call.late:
                await _end(send, _LATE, started=call.started)
            elif self._stopping.is_set():
                await _end(send, _STOPPED, started=call.started)
            # else the caller has gone
        finally:
            self._open.discard(call)
            self._settle()

    async def _answer(self, method: Method, call: "_Open", deframer: Deframer) -> None:
        match method:
            case Unary():
                request = await _one_message(call.receive, deframer)
                call.body_read = True
                answer = await rpc.invoke(
                    method, Call(deadline=call.deadline), request, self._metrics, self._max_message_bytes
                )
                await call.send(call.start())
                piece = framing.frame(answer, call.encoding)
                await call.send({"type": "http.response.body", "body": piece, "more_body": False})
                await call.send(_OK_TRAILERS)
                return
            case Stream():
                request = await _one_message(call.receive, deframer)
                call.body_read = True
                answers = _one_by_one(rpc.stream(method, Call(deadline=call.deadline), request, self._metrics))
            case Duplex():
                requests = _messages(call, deframer)
                answers = rpc.duplex(
                    method, call.deadline, requests, self._metrics, self._max_message_bytes, self._stopping
                )
        async with aclosing(answers) as ready:
            async for several in ready:
                await call.piece(b"".join([framing.frame(answer, call.encoding) for answer in several]))
        if not call.started:
            await call.send(call.start())
        await call.send(_LAST_PIECE)
        await call.send(_OK_TRAILERS)

    def _settle(self) -> None:
        if self._stopping.is_set() and not self._open:
            self._all_closed.set()

    async def _watch_callers(self) -> None:
        """Cancel calls whose deadline has passed or whose callers have gone, those that have been open for a while."""
        before: set[_Open] = set()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for call in before & self._open:
                try:
                    await self._look_after(call)
                except Exception:
                    _log.exception("a caller could not be asked whether it is still there")
            before = set(self._open)

    async def _look_after(self, call: "_Open") -> None:
        if call.deadline is not None and time.monotonic() >= call.deadline:
            call.late = True
            call.task.cancel()
        elif call.body_read and (await call.receive())["type"] == "http.disconnect" and call in self._open:
            call.task.cancel()


class _Open:
    """A call that is being answered."""

    __slots__ = ("body_read", "deadline", "encoding", "late", "receive", "send", "started", "task")

    def __init__(
        self, task: "asyncio.Task[Any]", receive: Receive, send: Send, deadline: float | None, encoding: str
    ) -> None:
        self.task = task
        self.receive = receive
        self.send = send
        self.deadline = deadline
        self.encoding = encoding
        self.body_read = self.started = self.late = False

    def start(self) -> Mapping[str, Any]:
        """The message that begins the answer."""
        self.started = True
        return _START[self.encoding]

    async def piece(self, framed: bytes) -> None:
        """Send a part of the answer; returns once it may be followed by more."""
        if not self.started:
            await self.send(self.start())
        await self.send({"type": "http.response.body", "body": framed, "more_body": True})


def _start(*headers: tuple[bytes, bytes], trailers: bool = True, status: int = 200) -> Mapping[str, Any]:
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", _CONTENT_TYPE), *headers],
        "trailers": trailers,
    }


_ACCEPT = (b"grpc-accept-encoding", ",".join(framing.ENCODINGS).encode())
_START = {
    encoding: _start(_ACCEPT) if encoding == "identity" else _start((b"grpc-encoding", encoding.encode()), _ACCEPT)
    for encoding in framing.ENCODINGS
}


async def _one_by_one(answers: AsyncGenerator[bytes, None]) -> AsyncGenerator[list[bytes], None]:
    """Answers that are never ready together."""
    async with aclosing(answers) as ready:
        async for answer in ready:
            yield [answer]


async def _one_message(receive: Receive, deframer: Deframer) -> bytes:
    """The one message of a request."""
    messages: list[bytes] = []
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise asyncio.CancelledError
        messages += deframer.feed(event["body"])
        more = event["more_body"]
    if len(messages) != 1 or not deframer.empty:
        raise RpcError(
            Code.INVALID_ARGUMENT,
            f"the request holds {len(messages)} messages{'' if deframer.empty else ' and a part of one'}; wanted one",
        )
    return messages[0]


async def _messages(call: _Open, deframer: Deframer) -> AsyncIterator[bytes]:
    """The messages of a stream, as they come."""
    more = True
    while more:
        event = await call.receive()
        if event["type"] == "http.disconnect":
            call.task.cancel()
            return
        for message in deframer.feed(event["body"]):
            yield message
        more = event["more_body"]
    call.body_read = True
    if not deframer.empty:
        raise RpcError(Code.INVALID_ARGUMENT, "the stream of requests ends within a message")


async def _end(send: Send, error: RpcError, *, started: bool) -> None:
    """End a call with a status: in the trailers, or in the headers where there were none yet."""
    headers = framing.status_headers(error)
    if started:
        await send(_LAST_PIECE)
        await send({"type": "http.response.trailers", "headers": headers})
    else:
        await send(_start(_ACCEPT, *headers, trailers=False))
        await send(_LAST_PIECE)


async def _refuse_http(send: Send) -> None:
    """Tell a caller who speaks no gRPC, or JSON that is for none of the methods."""
    text = (
        b"this port speaks gRPC, gRPC-Web, and JSON for kan_api: POST /kan_api.v1.PredictionService/Predict with "
        b"content-type application/json; /metrics, /livez and /readyz are on the HTTP port\n"
    )
    await send(
        {"type": "http.response.start", "status": 415, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}
    )
    await send({"type": "http.response.body", "body": text, "more_body": False})
