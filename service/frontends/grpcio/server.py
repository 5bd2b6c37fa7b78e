"""The table of methods on a grpc.aio server: what comes over the wire becomes a Call and bytes, and nothing else."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
import grpc.aio

from service.access.certificates import Certificates
from service.access.reloaded import ReloadedFiles
from service.cores import threads_that_wait
from service.errors import StartupError
from service.frontends.address import check_free
from service.frontends.connections import Connections
from service.frontends.grpcio.places import Context, Places
from service.frontends.grpcio.receiving import Receiving, longest_seconds
from service.frontends.grpcio.tls import server_credentials
from service.frontends.grpcio.unread import Unread
from service.metrics.metrics import Metrics
from service.rpc import calls
from service.rpc.admission import Admission
from service.rpc.bounds import APART, WATCHES, apart_bounds, bounds, is_apart
from service.rpc.calls import BidiStream, Method, ServerStream, Unary
from service.rpc.entrance import Entrance
from service.rpc.limits import APART_RECEIVING, CONNECTION_STREAMS, HANDSHAKE_SECONDS, UNREAD_BYTES
from service.rpc.memory import give_back
from service.rpc.streams import answer_bidi_stream
from service.settings import Settings

_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes] | None"

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
        self._giving_back = asyncio.create_task(give_back(), name="give memory back")

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
        self._giving_back.cancel()
        await asyncio.gather(self._giving_back, return_exceptions=True)
        await self._server.stop(max(0.0, ends - time.monotonic()))


async def start(
    methods: Mapping[str, Method],
    metrics: Metrics,
    entrance: Entrance,
    certificates: ReloadedFiles[Certificates] | None,
    settings: Settings,
) -> GrpcioServer:
    """Serve the methods on settings.host and settings.grpc_port.

    Args:
        methods: By full path.
        metrics: Where calls are counted.
        entrance: Finds out who calls.
        certificates: For TLS; None without it.
        settings: Address, limits, keepalive, connection age, compression.

    Raises:
        StartupError: The address cannot be listened on.
    """
    host, port = settings.host, settings.grpc_port
    if settings.workers == 1:  # the parent of several workers has checked it
        check_free(host, port)
    table = _Table(methods, metrics, entrance, settings)
    with threads_that_wait():  # gRPC's own thread starts here
        server = grpc.aio.server(handlers=[table], options=_options(settings))
    try:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if certificates is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, server_credentials(certificates))
    except RuntimeError as error:
        raise StartupError(f"cannot listen for gRPC on {host}:{port}: {error}") from error
    await server.start()
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_callers_fault)
    return GrpcioServer(server, port, table)


def _is_no_callers_fault(record: logging.LogRecord) -> bool:
    """Whether a line of gRPC's tells of more than a connection that ended early, or metadata that is no UTF-8.

    It logs a traceback for each such call, with the metadata: callers would fill the log, and tokens get into it.
    """
    return not str(record.msg).startswith(("ExecuteBatchError", "Invalid encoding on"))


def _options(settings: Settings) -> list[tuple[str, int]]:
    """What gRPC's core is told."""
    options = [
        # By default a second server could bind the same port in silence. Several workers share it, under a lock.
        ("grpc.so_reuseport", int(settings.workers != 1)),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Of a call that is not being received the core holds its first window, and no more: by default it lets the
        # window grow, as the connection proves fast.
        ("grpc.http2.lookahead_bytes", UNREAD_BYTES),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_concurrent_streams", CONNECTION_STREAMS),
        # By default callers who ask more often than every five minutes are cut off.
        ("grpc.http2.min_ping_interval_without_data_ms", _SHORTEST_PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.default_compression_level", _COMPRESSION_LEVEL[settings.compression]),
    ]
    if settings.tls_cert:
        options.append(("grpc.server_handshake_timeout_ms", _ms(HANDSHAKE_SECONDS)))
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

    def __init__(self, methods: Mapping[str, Method], metrics: Metrics, entrance: Entrance, settings: Settings) -> None:
        self.last_call = -math.inf
        self.stopping = asyncio.Event()
        self._metrics = metrics
        self._max_message_bytes = settings.max_message_bytes
        message_bytes = settings.max_message_bytes
        receiving = Receiving(settings.max_inflight_bytes // message_bytes, longest_seconds(message_bytes))
        unread = Unread(Connections())
        places = Places(Admission(bounds(settings)), receiving, unread, metrics, entrance, streams_take_turns=False)
        apart_receiving = Receiving(APART_RECEIVING)
        apart = {
            bound: Places(Admission(bound), apart_receiving, unread, metrics, entrance, streams_take_turns=True)
            for bound in (APART, WATCHES)
        }
        self._handlers = {
            path: self._handler(method, apart[apart_bounds(method)] if is_apart(method) else places)
            for path, method in methods.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler:
        self.last_call = time.monotonic()
        return self._handlers.get(handler_call_details.method)

    def _handler(self, method: Method, places: Places) -> _Handler:
        """No deserializers: gRPC answers bytes that do not parse with INTERNAL, ours with INVALID_ARGUMENT.

        Each is a handler of a stream of requests, since gRPC receives the one message of others before it asks anybody.
        """
        match method:
            case Unary():
                return grpc.stream_unary_rpc_method_handler(self._unary(method, places))
            case ServerStream():
                return grpc.stream_stream_rpc_method_handler(self._stream(method, places))
            case BidiStream():
                return grpc.stream_stream_rpc_method_handler(self._duplex(method, places))

    def _unary(self, method: Unary, places: Places) -> Any:
        """The method as a grpc.aio handler."""

        async def answer(_: AsyncIterator[bytes], context: Context) -> bytes:
            async with places.place(method, context) as place:
                request = await place.message()
                return await calls.invoke(
                    *(method, place.call, request, self._metrics, self._max_message_bytes), hold=place.answer
                )

        return answer

    def _stream(self, method: ServerStream, places: Places) -> Any:
        """The method as a grpc.aio handler."""

        async def answers(_: AsyncIterator[bytes], context: Context) -> None:
            async with places.place(method, context) as place:
                request = await place.message()
                async with aclosing(calls.answer_server_stream(method, place.call, request, self._metrics)) as ready:
                    async for answer in ready:
                        await context.write(answer)

        return answers

    def _duplex(self, method: BidiStream, places: Places) -> Any:
        """The method as a grpc.aio handler; it writes, since grpc would not close a generator at the end."""

        async def answers(_: AsyncIterator[bytes], context: Context) -> None:
            async with places.place(method, context) as place:
                stream = answer_bidi_stream(
                    *(method, place.call, place.held, places.messages(place.held, context)),
                    *(self._metrics, self._max_message_bytes, self.stopping),
                )
                async with aclosing(stream) as ready:
                    async for several in ready:
                        for answer in several:
                            await context.write(answer)

        return answers
