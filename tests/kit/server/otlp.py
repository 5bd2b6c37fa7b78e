"""A receiver of traces: OTLP over real gRPC, as a collector has it."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.kit.server.certificates import Pair
from tests.kit.waiting import wait_for


@dataclass(eq=False)
class Receiver:
    """What it has received.

    Attributes:
        address: As --trace-endpoint wants it.
        messages: As they came.
        metadata: The metadata of each call.
        failures: Codes for the next calls, the first one next; then calls are taken.
        open: While it is not set, calls hang.
    """

    address: str = ""
    messages: list[Any] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    failures: list[grpc.StatusCode] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def spans(self) -> list[Span]:
        """Every span so far."""
        return [
            span
            for message in list(self.messages)
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str, trace_id: str = "") -> list[Span]:
        """The spans of a name, of one trace or of all."""
        return [span for span in self.spans if span.name == name and trace_id in ("", span.trace_id.hex())]

    def wait_for(self, name: str, trace_id: str = "", count: int = 1) -> list[Span]:
        """The same, once there are so many."""
        return wait_for(
            lambda: found if len(found := self.named(name, trace_id)) >= count else [], f"{count} spans {name}"
        )


def attributes(given: Sequence[KeyValue]) -> dict[str, str | int]:
    """Attributes of a span or of a resource."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in given}


@contextmanager
def receiving(pair: Pair | None = None) -> Iterator[Receiver]:
    """A receiver on a free port of loopback. Servers that start meanwhile send their traces every 0.2 s.

    Args:
        pair: Its certificate and key, with which it speaks TLS; None: plain text.
    """
    receiver = Receiver()
    receiver.open.set()

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
            receiver.open.wait(60)
            receiver.metadata.append(dict(context.invocation_metadata()))
            if receiver.failures:
                context.abort(receiver.failures.pop(0), "as told")
            receiver.messages.append(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
    if pair is None:
        receiver.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.cert.read_bytes())])
        receiver.address = f"https://127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    try:
        with patch.dict(os.environ, OTEL_BSP_SCHEDULE_DELAY="200"):
            yield receiver
    finally:
        receiver.open.set()
        server.stop(0).wait()
