"""The table of methods on a grpc.aio server: what comes over the wire becomes a Call and bytes, and nothing else."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, NoReturn, TypeAlias, cast

import grpc
import grpc.aio

from service import rpc
from service.duplex import duplex
from service.errors import StartupError
from service.frontends.address import check_free
from service.metrics import Metrics
from service.rpc import Call, Duplex, Metadata, Method, Stream, Unary
from service.settings import Settings
from service.status import RpcError

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes] | None"

_STATUS: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

# gRPC cancels the calls that it has read and not yet handed over when it stops, and callers do not repeat a cancelled
# call. So it is stopped when no call has come for a while: until then each is told UNAVAILABLE.
_QUIET_SECONDS = 0.1
_LONGEST_UNREST_SECONDS = 1.0

_SHORTEST_PING_MS = 5_000
# Levels, since gRPC's core sends an algorithm to callers that do not take it too, who then fail with INTERNAL. Of those
# that a caller takes, level 1 chooses gzip before deflate, level 3 deflate before gzip.
_COMPRESSION_LEVEL = {"none": 0, "gzip": 1, "deflate": 3}


class GrpcioServer:
    """A grpc.aio server of a table of methods. Made by :func:`start`; ends with :meth:`stop`."""

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
        ends = time.monotonic() + grace_seconds
        until = min(time.monotonic() + _LONGEST_UNREST_SECONDS, ends)
        while time.monotonic() < min(until, self._table.last_call + _QUIET_SECONDS):  # noqa: ASYNC110
            await asyncio.sleep(_QUIET_SECONDS / 10)
        await self._server.stop(max(0.0, ends - time.monotonic()))


async def start(methods: Mapping[str, Method], metrics: Metrics, settings: Settings) -> GrpcioServer:
    """Serve the methods on settings.host and settings.grpc_port.

    Args:
        methods: By full path.
        metrics: Where calls are counted.
        settings: Address, limits, keepalive, connection age, compression.

    Raises:
        StartupError: The address cannot be listened on.
    """
    host, port = settings.host, settings.grpc_port
    check_free(host, port)
    table = _Table(methods, metrics, settings.max_message_bytes)
    server = grpc.aio.server(handlers=[table], options=_options(settings))
    try:
        port = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise StartupError(f"cannot listen for gRPC on {host}:{port}: {error}") from error
    await server.start()
    return GrpcioServer(server, port, table)


def _options(settings: Settings) -> list[tuple[str, int]]:
    """What gRPC's core is told."""
    options = [
        # By default a second server could bind the same port in silence.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # By default callers who ask more often than every five minutes are cut off.
        ("grpc.http2.min_ping_interval_without_data_ms", _SHORTEST_PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.default_compression_level", _COMPRESSION_LEVEL[settings.compression]),
    ]
    if settings.keepalive_seconds:
        options += [
            ("grpc.keepalive_time_ms", _ms(settings.keepalive_seconds)),
            ("grpc.keepalive_timeout_ms", _ms(settings.keepalive_timeout_seconds)),
            # Else a ping has a minute, whatever keepalive_timeout says.
            ("grpc.http2.ping_timeout_ms", _ms(settings.keepalive_timeout_seconds)),
        ]
    if settings.max_connection_age_seconds:
        options += [
            ("grpc.max_connection_age_ms", _ms(settings.max_connection_age_seconds)),
            ("grpc.max_connection_age_grace_ms", _ms(settings.max_connection_age_grace_seconds)),
        ]
    return options


def _ms(seconds: float) -> int:
    return max(1, round(1e3 * seconds))


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
            return await rpc.invoke(method, _call(context), request, metrics, max_message_bytes)
        except RpcError as error:
            await _abort(context, error)

    return answer


def _stream(method: Stream, metrics: Metrics) -> Any:
    """The method as a grpc.aio handler."""

    async def answers(request: bytes, context: _Context) -> AsyncGenerator[bytes, None]:
        try:
            async for answer in rpc.stream(method, _call(context), request, metrics):
                yield answer
        except RpcError as error:
            await _abort(context, error)

    return answers


def _duplex(method: Duplex, metrics: Metrics, max_message_bytes: int, stopping: asyncio.Event) -> Any:
    """The method as a grpc.aio handler; a coroutine that writes, since grpc would not close a generator at the end."""

    async def answers(_: AsyncIterator[bytes], context: _Context) -> None:
        stream = duplex(method, _call(context), _messages(context), metrics, max_message_bytes, stopping)
        try:
            async with aclosing(stream) as ready:
                async for several in ready:
                    for answer in several:
                        await context.write(answer)
        except RpcError as error:
            await _abort(context, error)

    return answers


async def _messages(context: _Context) -> AsyncIterator[bytes]:
    """The messages of a stream, as they come; grpc's own iterator costs half as much again."""
    end: Any = grpc.aio.EOF  # a sentinel, whatever its type
    while (message := await context.read()) is not end:
        yield message


async def _abort(context: _Context, error: RpcError) -> NoReturn:
    """End the call with its status, or quietly where its caller has gone meanwhile."""
    try:
        await context.abort(_STATUS[error.code], error.message, tuple(error.trailers()))
    except grpc.aio.AbortError:
        raise
    except Exception as gone:  # its class has no public name, and grpc logs a traceback for it
        raise asyncio.CancelledError from gone


def _call(context: _Context) -> Call:
    """The call, with its deadline on the clock of time.monotonic."""
    remaining: float | None = context.time_remaining()
    deadline = None if remaining is None else time.monotonic() + remaining
    return Call(deadline, cast(Metadata, context.invocation_metadata))
