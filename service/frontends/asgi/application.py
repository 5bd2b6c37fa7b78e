"""The table of methods as an ASGI application: what an HTTP server hands over becomes a Call and bytes.

Each gRPC call is one ASGI http scope (ASGI 3, with the extension http.response.trailers): the body holds the messages,
grpc-timeout and the compression are headers, the status goes into the trailers.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial

from service.errors import Overloaded, ServiceError
from service.frontends.asgi import framing
from service.frontends.asgi.caller_watch import CallerWatch
from service.frontends.asgi.framing import Deframer
from service.frontends.asgi.json_call import answer_json, end_json, json_method, refuse_http, whole_body
from service.frontends.asgi.open_call import (
    CONTENT_TYPE,
    LAST_PIECE,
    OK_TRAILERS,
    OpenCall,
    Receive,
    Scope,
    Send,
    end_grpc,
    messages,
    one_message,
)
from service.frontends.connections import Connections
from service.frontends.envoy import call_headers, token_gate
from service.metrics.metrics import Metrics
from service.protocols.prediction import EXPLAIN
from service.rpc import calls
from service.rpc.admission import Admission, Held
from service.rpc.bounds import APART_MAX_MESSAGE_BYTES, Bounds, apart_bounds, is_apart
from service.rpc.calls import BidiStream, Method, RequestContext, ServerStream, Unary
from service.rpc.ending import count_refusal, count_unread, count_unreadable
from service.rpc.entrance import Entrance
from service.rpc.status import LATE, Code, RpcError, Unreadable
from service.rpc.streams import answer_bidi_stream
from service.tracing.traceparent import TRACEPARENT

_TRACEPARENT = TRACEPARENT.encode()

_STOPPED = RpcError(Code.UNAVAILABLE, "the server stopped before the answer was ready")


class AsgiFront:
    """The methods as an ASGI application. Lives on one event loop.

    Args:
        methods: By full path.
        metrics: Where calls are counted.
        entrance: Finds out who calls.
        bounds: What calls may hold at once; those for health and reflection have bounds of their own.
        max_message_bytes: Largest message, either way.
        max_request_rows: Most rows that one request may bring.
        compression: How answers are compressed for callers who take it: "gzip", "deflate" or "none".
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        metrics: Metrics,
        entrance: Entrance,
        *,
        bounds: Bounds,
        max_message_bytes: int,
        max_request_rows: int,
        compression: str,
    ) -> None:
        self.port, self._methods = 0, methods
        explain = methods[EXPLAIN]
        assert isinstance(explain, Unary)
        self._explain = explain
        self._metrics, self._entrance = metrics, entrance
        self._max_message_bytes, self._max_request_rows = max_message_bytes, max_request_rows
        self._admission = Admission(bounds)
        self._apart = {path: Admission(apart_bounds(method)) for path, method in methods.items() if is_apart(method)}
        self._compressions = () if compression == "none" else (compression,)
        self._stopping, self._connections = asyncio.Event(), Connections()
        self._open: set[OpenCall] = set()
        self._all_closed = asyncio.Event()
        self._watch = CallerWatch()

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
        self._watch.close()
        await asyncio.gather(*(each.task for each in self._open), return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        headers = dict(scope["headers"])
        in_json = None
        if not headers.get(b"content-type", b"").startswith(CONTENT_TYPE):
            in_json = json_method(scope, headers, self._explain, self._max_request_rows)
            if in_json is None:
                await refuse_http(send)
                return
        method = in_json or self._methods.get(scope["path"])
        end = end_grpc if in_json is None else end_json
        task = asyncio.current_task()
        assert task is not None  # an ASGI server runs each call as one
        try:
            if method is None:
                raise RpcError(Code.UNIMPLEMENTED, f"there is no method {scope['path']!r}")
            deadline = None
            if (timeout := call_headers.timeout_in(headers)) is not None:
                deadline = time.monotonic() + framing.timeout_seconds(timeout)
            answering = "identity"
            if self._compressions:
                answering = framing.accepted_encoding(headers.get(b"grpc-accept-encoding", b""), self._compressions)
            metadata = partial(call_headers.metadata_in, headers)
            context = RequestContext(
                deadline, metadata, head=self._entrance.head, traceparent=headers.get(_TRACEPARENT)
            )
            if self._entrance.has_log:
                self._entrance.log_call(context, call_headers.peer_in(headers), call_headers.subject_in(headers))
            right = method.path if in_json is None else self._explain.path
            held, deframer = self._admit(method, right, task, headers, context)
        except RpcError as error:
            await end(send, error, started=False)
            return
        call = OpenCall(task, receive, send, answering, headers, held, context)
        self._open.add(call)
        self._watch.add(call, idle=isinstance(method, ServerStream))
        try:
            if in_json is None:
                await self._answer(method, call, deframer)
            else:
                await self._answer_json(in_json, call)
        except RpcError as error:
            if isinstance(error, Unreadable):
                count_unreadable(method, error, self._metrics, context)
            await end(send, error, started=call.started)
        except Overloaded as error:
            await end(send, count_refusal(method, error, self._metrics, context), started=call.started)
        except asyncio.CancelledError:
            if call.late:
                await end(send, LATE, started=call.started)
            elif held.lost:
                count_unread(self._metrics)  # its connection is closed
            elif held.evicted:
                await end(send, count_refusal(method, held.refusal(), self._metrics, context), started=call.started)
            elif self._stopping.is_set():
                await end(send, _STOPPED, started=call.started)
            # else the caller has gone
        finally:
            held.close()
            self._open.discard(call)
            self._watch.remove(call)
            self._settle()

    def _admit(
        self,
        method: Method,
        right: str,
        task: "asyncio.Task[object]",
        headers: Mapping[bytes, bytes],
        context: RequestContext,
    ) -> tuple[Held, Deframer]:
        """A place for a call, and what takes its messages apart; RpcError where there is none.

        `right` is the path of the method that the caller must be allowed to call.
        """

        def cancel() -> None:
            task.cancel()
            if held.lost:  # Envoy has a part of the answer, and ends no stream that it cannot write
                self._connections.close(call_headers.peer_in(headers))

        apart = self._apart.get(method.path)
        admission = self._admission if apart is None else apart
        try:
            if self._entrance.has_tokens:
                self._entrance.authorize(context, right, call_headers.authorization_in(headers))
                token_gate.check_known(headers)
            held = admission.admit(stream=isinstance(method, BidiStream), cancel=cancel)
        except ServiceError as error:
            raise count_refusal(method, error, self._metrics, context) from error
        bound = self._max_message_bytes if apart is None else min(self._max_message_bytes, APART_MAX_MESSAGE_BYTES)
        return held, Deframer(bound, headers.get(b"grpc-encoding", b"identity").decode("latin-1"))

    async def _answer(self, method: Method, call: "OpenCall", deframer: Deframer) -> None:
        match method:
            case Unary():
                request = await one_message(call, deframer)
                answering = calls.invoke(
                    *(method, call.context, request, self._metrics, self._max_message_bytes), hold=call.held.answer
                )
                await call.answer(framing.frame(await answering, call.encoding))
                return
            case ServerStream():
                request = await one_message(call, deframer)
                answers = _one_by_one(calls.answer_server_stream(method, call.context, request, self._metrics))
            case BidiStream():
                requests = messages(call, deframer)
                answers = answer_bidi_stream(
                    *(method, call.context, call.held, requests, self._metrics, self._max_message_bytes, self._stopping)
                )
        async with aclosing(answers) as ready:
            async for several in ready:
                await call.piece(b"".join([framing.frame(answer, call.encoding) for answer in several]))
        if not call.started:
            await call.send(call.start())
        await call.send(LAST_PIECE)
        await call.send(OK_TRAILERS)

    async def _answer_json(self, method: Unary, call: "OpenCall") -> None:
        body = await whole_body(call)
        answering = calls.invoke(
            *(method, call.context, body, self._metrics, self._max_message_bytes), hold=call.held.answer
        )
        await answer_json(call, await answering)

    def _settle(self) -> None:
        if self._stopping.is_set() and not self._open:
            self._all_closed.set()


async def _one_by_one(answers: AsyncGenerator[bytes, None]) -> AsyncGenerator[list[bytes], None]:
    """Answers that are never ready together."""
    async with aclosing(answers) as ready:
        async for answer in ready:
            yield [answer]
