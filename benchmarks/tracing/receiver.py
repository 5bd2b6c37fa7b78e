"""A receiver of OTLP that counts spans and keeps nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass
class Receiver:
    """What it has received.

    Attributes:
        address: As --trace-endpoint wants it.
        spans: Number of spans.
    """

    address: str = ""
    spans: int = 0


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of loopback."""
    receiver = Receiver()

    def export(request: bytes, _: Any) -> bytes:
        message = ExportTraceServiceRequest.FromString(request)
        receiver.spans += sum(len(scope.spans) for each in message.resource_spans for scope in each.scope_spans)
        return b""  # an empty ExportTraceServiceResponse

    server = grpc.server(ThreadPoolExecutor(1))
    handlers: dict[str, Any] = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, handlers)])
    receiver.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(0).wait()
