"""A trace as spans of OTLP.

    ModelInfer      |------------------------|   kind server, a child of the caller's span
      decode        |----|                       the message becomes rows
      queue              |------|                the rows wait
      compute                   |------|         the runs of the model, linked to their batches
      encode                           |-----|   rows become the answer
    batch                       |------|         a trace of its own, linked to the sampled calls in it

Source: OpenTelemetry's semantic conventions for RPC (rpc.system.name, rpc.method, rpc.response.status_code).
"""

from collections.abc import Iterator
from functools import lru_cache

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status

from service.tracing.trace import Ids, Run, Trace, batch_ids, new_ids

# Of a server; the codes that tell of the caller's mistake are no errors of its span.
_ERRORS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_SAMPLED = 0x01
_LOCAL = _SAMPLED | SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
# A request of many more rows than a batch is part of many runs.
_MOST_LINKS = 32


def spans_of(trace: Trace, host: str, port: int) -> Iterator[Span]:
    """The spans of a trace that has ended: of the call, of its parts, and of the batches that it leads.

    Args:
        trace: Has ended.
        host: Where the server listens.
        port: Its port there.
    """
    end = trace.end
    assert end is not None
    method = end.path.removeprefix("/")
    call = Span(
        name=method,
        trace_id=bytes.fromhex(trace.ids.trace_id),
        span_id=bytes.fromhex(trace.ids.span_id),
        parent_span_id=bytes.fromhex(trace.parent_id),
        trace_state=trace.state,
        flags=_REMOTE if trace.parent_id else _LOCAL,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=trace.started_unix_ns,
        end_time_unix_nano=_unix_ns(trace, trace.started + end.seconds),
        attributes=[
            _text("rpc.system.name", "grpc"),
            _text("rpc.method", method),
            _text("rpc.response.status_code", end.code),
            _text("server.address", host),
            _number("server.port", port),
            KeyValue(key="kan.request.id", value=AnyValue(string_value=end.request_id)),
        ],
    )
    if end.model:
        call.attributes.extend((_text("kan.model.name", end.model), _text("kan.model.version", end.version)))
    if end.code in _ERRORS:
        call.attributes.append(_text("error.type", end.code))
        call.status.code = Status.STATUS_CODE_ERROR
    yield call
    yield from _parts(trace, trace.started + end.seconds)
    for run, ids in trace.batches.items():
        yield _batch(trace, run, ids)


def _parts(trace: Trace, ended: float) -> Iterator[Span]:
    """The spans within the call, as far as it came."""
    if trace.submitted_at is None:
        return
    yield _part(trace, "decode", trace.started, trace.submitted_at)
    if not trace.runs:
        yield _part(trace, "queue", trace.submitted_at, ended)
        return
    started = max(trace.submitted_at, trace.runs[0].started)
    computed = max(started, *(run.started + run.seconds for run in trace.runs))
    yield _part(trace, "queue", trace.submitted_at, started)
    compute = _part(trace, "compute", started, computed)
    compute.attributes.append(_number("kan.runs", len(trace.runs)))
    compute.links.extend(_link(batch_ids(run)) for run in trace.runs[:_MOST_LINKS])
    compute.dropped_links_count = max(0, len(trace.runs) - _MOST_LINKS)
    yield compute
    yield _part(trace, "encode", computed, max(computed, ended))


def _part(trace: Trace, name: str, began: float, ended: float) -> Span:
    """A span within the call."""
    span = _span(trace, name, new_ids(trace.ids.trace_id), began, ended)
    span.parent_span_id = bytes.fromhex(trace.ids.span_id)
    return span


def _batch(trace: Trace, run: Run, ids: Ids) -> Span:
    """The span of a batch, in a trace of its own."""
    span = _span(trace, "batch", ids, run.started, run.started + run.seconds)
    span.attributes.extend((_number("kan.batch.rows", run.rows), _number("kan.batch.requests", run.requests)))
    span.links.extend(_link(member.ids) for member in run.followers if isinstance(member, Trace))
    return span


def _span(trace: Trace, name: str, ids: Ids, began: float, ended: float) -> Span:
    return Span(
        name=name,
        trace_id=bytes.fromhex(ids.trace_id),
        span_id=bytes.fromhex(ids.span_id),
        flags=_LOCAL,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_unix_ns(trace, began),
        end_time_unix_nano=_unix_ns(trace, ended),
    )


def _link(ids: Ids) -> Span.Link:
    return Span.Link(trace_id=bytes.fromhex(ids.trace_id), span_id=bytes.fromhex(ids.span_id), flags=_LOCAL)


def _unix_ns(trace: Trace, moment: float) -> int:
    """A moment on the clock time.monotonic in nanoseconds since 1970."""
    return trace.started_unix_ns + round(1e9 * (moment - trace.started))


@lru_cache(1024)
def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


@lru_cache(1024)
def _number(key: str, value: int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(int_value=value))
