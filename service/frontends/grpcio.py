"""The table of methods on a grpc.aio server: what comes over the wire becomes a Call and bytes, and nothing else."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection

from service import rpc
from service.errors import StartupError
from service.metrics import Metrics
from service.rpc import Call, Duplex, Method, Stream, Unary
from service.status import RpcError

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes] | None"

_STATUS: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

# gRPC cancels the calls that it has read and not yet handed over when it stops, and callers do not repeat a cancelled
# call. So it is stopped when no call has come for a while: until then each is told UNAVAILABLE.
_QUIET_SECONDS = 0.1
_LONGEST_UNREST_SECONDS = 1.0


class GrpcioServer:
    """A grpc.aio server of a table of methods, and of reflection. Made by :func:`start`; ends with :meth:`stop`."""

    def __init__(self, server: grpc.aio.Server, port: int, table: "_Table") -> None:
        self.port = port
        self._server = server
        self._table = table

    async def stop(self, grace_seconds: float) -> None:
        """Close the port and wait for calls that are being answered; streams of requests are read no further.

        Args:
            grace_seconds: Longest wait; calls still open then are cancelled.
        """
        self._table.stopping.set()
        until = time.monotonic() + _LONGEST_UNREST_SECONDS
        while time.monotonic() < min(until, self._table.last_call + _QUIET_SECONDS):  # noqa: ASYNC110
            await asyncio.sleep(_QUIET_SECONDS / 10)
        await self._server.stop(grace_seconds)


async def start(
    methods: Mapping[str, Method], metrics: Metrics, *, host: str, port: int, max_message_bytes: int
) -> GrpcioServer:
    """Serve the methods, and reflection, on one address.

    Args:
        methods: By full path.
        metrics: Where calls are counted.
        host: Address or host name to listen on.
        port: Port to listen on; 0 takes a free one.
        max_message_bytes: Largest message, either way.

    Raises:
        StartupError: The address cannot be listened on.
    """
    if port:
        _check_free(host, port)
    table = _Table(methods, metrics, max_message_bytes)
    server = grpc.aio.server(
        handlers=[table],
        options=[
            # By default a second server could bind the same port in silence.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
        ],
    )
    services = sorted({path.split("/")[1] for path in methods} | {reflection.SERVICE_NAME})
    reflection.enable_server_reflection(services, server)
    try:
        port = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise StartupError(f"cannot listen for gRPC on {host}:{port}: {error}") from error
    await server.start()
    return GrpcioServer(server, port, table)


def _check_free(host: str, port: int) -> None:
    """Try the port first: gRPC's own failure names no reason and fills the log with its file names."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen()
    except OSError as error:
        raise StartupError(f"cannot listen for gRPC on {host}:{port}: {error.strerror or error}") from error


class _Table(grpc.GenericRpcHandler):
    """Finds the handler of a path; gRPC answers UNIMPLEMENTED where there is none."""

    def __init__(self, methods: Mapping[str, Method], metrics: Metrics, max_message_bytes: int) -> None:
        self.last_call = -math.inf
        self.stopping = asyncio.Event()
        self._metrics = metrics
        self._max_message_bytes = max_message_bytes
        self._handlers = {path: self._handler(method) for path, method in methods.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler:
        self.last_call = time.monotonic()
        return self._handlers.get(handler_call_details.method)

    def _handler(self, method: Method) -> _Handler:
        """No deserializers: gRPC answers bytes that do not parse with INTERNAL, ours with INVALID_ARGUMENT."""
        match method:
            case Unary():
                return grpc.unary_unary_rpc_method_handler(_unary(method, self._metrics, self._max_message_bytes))
            case Stream():
                return grpc.unary_stream_rpc_method_handler(_stream(method, self._metrics))
            case Duplex():
                return grpc.stream_stream_rpc_method_handler(
                    _duplex(method, self._metrics, self._max_message_bytes, self.stopping)
                )


def _unary(method: Unary, metrics: Metrics, max_message_bytes: int) -> Any:
    """The method as a grpc.aio handler."""

    async def answer(request: bytes, context: _Context) -> bytes:
        try:
            return await rpc.invoke(method, Call(deadline=_deadline(context)), request, metrics, max_message_bytes)
        except RpcError as error:
            await _abort(context, error)

    return answer


def _stream(method: Stream, metrics: Metrics) -> Any:
    """The method as a grpc.aio handler."""

    async def answers(request: bytes, context: _Context) -> AsyncGenerator[bytes, None]:
        try:
            async for answer in rpc.stream(method, Call(deadline=_deadline(context)), request, metrics):
                yield answer
        except RpcError as error:
            await _abort(context, error)

    return answers


def _duplex(method: Duplex, metrics: Metrics, max_message_bytes: int, stopping: asyncio.Event) -> Any:
    """The method as a grpc.aio handler; a coroutine that writes, since grpc would not close a generator at the end."""

    async def answers(requests: AsyncIterator[bytes], context: _Context) -> None:
        stream = rpc.duplex(method, _deadline(context), requests, metrics, max_message_bytes, stopping)
        try:
            async with aclosing(stream) as ready:
                async for answer in ready:
                    await context.write(answer)
        except RpcError as error:
            await _abort(context, error)

    return answers


async def _abort(context: _Context, error: RpcError) -> NoReturn:
    """End the call with its status, or quietly where its caller has gone meanwhile."""
    try:
        trailers: tuple[tuple[str, str], ...] = ()
        if error.retry_after_seconds is not None:
            # The name that gRPC's retries know.
            trailers = (("grpc-retry-pushback-ms", str(max(1, round(1e3 * error.retry_after_seconds)))),)
        await context.abort(_STATUS[error.code], error.message, trailers)
    except grpc.aio.AbortError:
        raise
    except Exception as gone:  # its class has no public name, and grpc logs a traceback for it
        raise asyncio.CancelledError from gone


def _deadline(context: _Context) -> float | None:
    """The caller's deadline on the clock of time.monotonic; None where the caller waits for ever."""
    remaining: float | None = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining
