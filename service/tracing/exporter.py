"""A thread that turns traces into messages of OTLP and sends them over gRPC. No request ever waits for it."""

import asyncio
import logging
import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from service.tracing.endpoint import Endpoint, endpoint_of
from service.tracing.resource import resource_attributes
from service.tracing.spans import spans_of
from service.tracing.trace import Trace

Result = Literal["sent", "queue_full", "failed"]

_log = logging.getLogger(__name__)

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# A trace costs the thread 40 µs, and 1 kB while it waits. A message after a pause costs 1 to 3 ms of a core, because it
# wakes threads of gRPC; one right after another costs 0.2 ms. So messages go out together, after a pause or when the
# queue is half full.
_MOST_QUEUED = 4096
# A message is serialized with the interpreter's lock held, so it is short: about 50 kB.
_MOST_A_MESSAGE = 64
# So many traces hold the lock for 0.3 ms. One by one each would find the processor's caches full of other things.
_TRACES_A_TURN = 8
_SEND_SECONDS = 10.0
_MOST_TRIES = 5
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
_POLL_SECONDS = 0.01
# Source: OTLP's specification of failures over gRPC.
_TRANSIENT = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class Exporter:
    """Sends traces to a receiver. :meth:`start` starts its thread, and :meth:`stop` ends it.

    Args:
        address: The receiver's, such as http://127.0.0.1:4317.
        count: Is told how many traces were sent, not queued because the queue was full, or not taken by the receiver.
            Any thread calls it.

    Raises:
        StartupError: The address, or a variable OTEL_…, cannot be used.
    """

    def __init__(self, address: str, count: Callable[[Result, int], None]) -> None:
        endpoint = endpoint_of(address, os.environ)
        attributes = resource_attributes(os.environ).items()
        self._resource = Resource(
            attributes=[KeyValue(key=key, value=AnyValue(string_value=v)) for key, v in attributes]
        )
        self._headers, self._pause_seconds = endpoint.headers, endpoint.pause_seconds
        self._channel = _channel(endpoint)
        self._count = count
        self._queue: deque[Trace] = deque()
        self._stopping, self._sending = threading.Event(), threading.Event()
        self._is_closed = self._is_failing = False
        self._host = ""
        self._port: Callable[[], int] = int
        self._thread = threading.Thread(target=self._live, name="traces", daemon=True)

    def put(self, trace: Trace) -> None:
        """Queue a trace that has ended; if the queue is full, drop it. Never blocks."""
        if len(self._queue) >= _MOST_QUEUED:
            self._count("queue_full", 1)
            return
        self._queue.append(trace)
        if len(self._queue) == _MOST_QUEUED // 2:
            self._sending.set()

    def start(self, host: str, port: Callable[[], int]) -> None:
        """Start to send.

        Args:
            host: Where the server listens.
            port: Gives its port, which may be known only later.
        """
        # Callers know no server as 0.0.0.0.
        self._host = socket.gethostname() if host in ("0.0.0.0", "::") else host
        self._port = port
        self._thread.start()

    async def stop(self, seconds: float) -> None:
        """Send the traces in the queue, but give up after this time, or when cancelled."""
        self._stopping.set()
        self._sending.set()
        ends = time.monotonic() + seconds
        try:
            while self._thread.is_alive() and time.monotonic() < ends:  # noqa: ASYNC110 - a thread has no event for us
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            self._is_closed = True
            self._channel.close()  # ends a call that hangs

    def _live(self) -> None:
        export = self._channel.unary_unary(
            _EXPORT,
            request_serializer=ExportTraceServiceRequest.SerializeToString,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )
        is_last = False
        while not is_last:
            self._sending.wait(self._pause_seconds)
            self._sending.clear()
            is_last = self._stopping.is_set()
            left = len(self._queue)
            while left > 0:
                traces = [self._queue.popleft() for _ in range(min(left, _MOST_A_MESSAGE))]
                left -= len(traces)
                is_sent = False
                try:
                    is_sent = self._deliver(self._message(traces), export)
                except Exception:  # a fault must not end tracing
                    if not self._is_closed:
                        _log.exception("traces could not be sent")
                self._count("sent" if is_sent else "failed", len(traces))

    def _message(self, traces: Sequence[Trace]) -> ExportTraceServiceRequest:
        spans: list[Span] = []
        for number, trace in enumerate(traces, start=1):
            spans += spans_of(trace, self._host, self._port())
            if number % _TRACES_A_TURN == 0:
                time.sleep(0)  # gives the interpreter's lock to the event loop, which may wait for it
        scope = InstrumentationScope(name="kan-serve")
        return ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=self._resource, scope_spans=[ScopeSpans(scope=scope, spans=spans)])]
        )

    def _deliver(self, message: ExportTraceServiceRequest, export: Any) -> bool:
        """Send a message; after a failure that may pass, again after a pause. Gives whether it was sent."""
        pause_seconds = _FIRST_PAUSE_SECONDS
        for _ in range(_MOST_TRIES):
            try:
                answer = export(message, timeout=_SEND_SECONDS, metadata=self._headers)
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()
                self._note_failure(f"{code.name}: {error.details()}")
                # The pause is random, so that the servers of a fleet do not come back at the same moment.
                if code not in _TRANSIENT or self._stopping.wait(random.uniform(0.5, 1) * pause_seconds):
                    return False
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            else:
                self._note_success(answer)
                return True
        return False

    def _note_failure(self, reason: str) -> None:
        """Log the first failure in a row."""
        if not self._is_failing:
            _log.warning("traces are not received: %s", reason[:500])
        self._is_failing = True

    def _note_success(self, answer: ExportTraceServiceResponse) -> None:
        """Log the end of failures, and spans that the receiver refused."""
        if self._is_failing:
            _log.info("traces are received again")
        self._is_failing = False
        if refused := answer.partial_success.rejected_spans:
            _log.warning("the receiver refused %d spans: %.500s", refused, answer.partial_success.error_message)


def _channel(endpoint: Endpoint) -> grpc.Channel:
    # A pool of its own: another channel to the same address must not share the connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    if endpoint.is_secure:
        return grpc.secure_channel(endpoint.target, grpc.ssl_channel_credentials(endpoint.roots), options)
    return grpc.insecure_channel(endpoint.target, options)
