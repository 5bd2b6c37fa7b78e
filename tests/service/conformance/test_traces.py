"""Traces of both front ends, as a real receiver gets them over real gRPC."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from kan_api.v1 import prediction_pb2 as pb
from service.tracing.trace import new_ids
from tests.kit.callers.protocols import KanApi, OpenInference
from tests.kit.models.attributions import add_attribution
from tests.kit.models.repository import write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, serving
from tests.kit.server.metrics import TIMED, traces_of_exemplars
from tests.kit.server.otlp import Receiver, attributes, receiving
from tests.kit.waiting import wait_for

_SPAN = "00f067aa0ba902b7"
_EXPLAIN = "kan_api.v1.PredictionService/Explain"
_PREDICT = KanApi.path.removeprefix("/")
# Each trace has read the clock of the day once, and the monotonic one beside it.
_SLACK_NS = 1_000_000
_ROWS = np.ones((2, 4), np.float32)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Receives the traces of the server that tests share; each test looks for its own trace."""
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def server(
    frontend: str, receiver: Receiver, module_gate: Gate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KanServe]:
    """A kan-serve of affine and slow that traces the calls whose callers ask for it; tests share it."""
    folder = tmp_path_factory.mktemp("traced")
    add_attribution(write_version(folder / "models", "affine"))
    write_version(folder / "models", "slow")
    flags = ("--frontend", frontend, "--trace-endpoint", receiver.address, "--trace-sample", "0")
    with serving(folder / "models", *flags, log=folder / "log") as started:
        yield started


@pytest.fixture
def trace_id() -> str:
    """A trace that no other test has."""
    return new_ids().trace_id


def _parent(trace_id: str, flags: str = "01") -> tuple[str, str]:
    """The metadata of a caller in a trace, which is sampled unless other flags are given."""
    return ("traceparent", f"00-{trace_id}-{_SPAN}-{flags}")


def _call(
    server: KanServe, *metadata: tuple[str, str], protocol: Any = KanApi, model: str = "affine", rows: Any = _ROWS
) -> tuple[str, dict[str, str]]:
    """Make a call; gives its code and the trailing metadata."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(protocol.path)
        try:
            _, call = method.with_call(protocol.request(model, rows), timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            failure: Any = error
            return failure.code().name, dict(failure.trailing_metadata())
        return "OK", dict(call.trailing_metadata())


@pytest.mark.parametrize("protocol", [KanApi, OpenInference])
def test_a_sampled_call_is_a_span_with_its_parts(
    server: KanServe, receiver: Receiver, trace_id: str, protocol: Any
) -> None:
    """It continues the caller's trace by the conventions; its parts lie in it, end to end, and fill it."""
    assert _call(server, _parent(trace_id), ("tracestate", "a=1"), protocol=protocol)[0] == "OK"
    (span,) = receiver.wait_for(protocol.path.removeprefix("/"), trace_id)
    assert (span.parent_span_id.hex(), span.trace_state, span.kind) == (_SPAN, "a=1", Span.SPAN_KIND_SERVER)
    assert span.status.code == Status.STATUS_CODE_UNSET
    found = attributes(span.attributes)
    assert found.pop("kan.request.id")
    host, port = server.grpc.rsplit(":", 1)
    assert found == {
        "rpc.system.name": "grpc",
        "rpc.method": protocol.path.removeprefix("/"),
        "rpc.response.status_code": "OK",
        "server.address": host,
        "server.port": int(port),
        "kan.model.name": "affine",
        "kan.model.version": "1",
    }
    parts = [one for name in ("decode", "queue", "compute", "encode") for one in receiver.named(name, trace_id)]
    assert [part.name for part in parts] == ["decode", "queue", "compute", "encode"]
    assert {(part.parent_span_id, part.kind) for part in parts} == {(span.span_id, Span.SPAN_KIND_INTERNAL)}
    moments = [span.start_time_unix_nano, *(part.end_time_unix_nano for part in parts)]
    assert [part.start_time_unix_nano for part in parts] == moments[:-1]
    assert moments == sorted(moments)
    assert abs(moments[-1] - span.end_time_unix_nano) < 1000
    assert len({one.span_id for one in (span, *parts)}) == 5


def test_only_sampled_calls_are_traced(server: KanServe, receiver: Receiver, trace_id: str) -> None:
    """A parent that is not sampled, none at all, and nonsense of every kind are answered and not traced."""
    nonsense = ("", "00", "x" * 4000, f"ff-{trace_id}-{_SPAN}-01", f"00-{trace_id}-{'0' * 16}-01")
    for value in nonsense:
        assert _call(server, ("traceparent", value))[0] == "OK"
    assert _call(server, _parent(trace_id, flags="00"))[0] == "OK"
    assert _call(server)[0] == "OK"
    before = len(receiver.named(_PREDICT))
    last = new_ids().trace_id
    assert _call(server, _parent(last), ("tracestate", "y=" + "x" * 4000))[0] == "OK"
    (span,) = receiver.wait_for(_PREDICT, last)
    assert span.trace_state == ""
    assert len(receiver.named(_PREDICT)) == before + 1


def test_a_failed_call_has_its_code_and_its_request_id(server: KanServe, receiver: Receiver, trace_id: str) -> None:
    """The trailing metadata name the request as its span does. The caller's mistakes are no errors of the server."""
    code, trailers = _call(server, _parent(trace_id), ("x-request-id", "order 66"), model="absent")
    assert (code, trailers["x-request-id"]) == ("NOT_FOUND", "order 66")
    (span,) = receiver.wait_for(_PREDICT, trace_id)
    found = attributes(span.attributes)
    assert (found["rpc.response.status_code"], found["kan.request.id"]) == ("NOT_FOUND", "order 66")
    assert "error.type" not in found
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert not receiver.named("queue", trace_id)


@pytest.mark.parametrize("given", [None, "", "x" * 129, "x" * 5000])
def test_a_request_without_an_id_that_fits_gets_one(server: KanServe, given: str | None) -> None:
    """16 hexadecimal digits, other ones each time."""
    metadata = () if given is None else (("x-request-id", given),)
    wide = np.ones((1, 5), np.float32)
    ids = {_call(server, *metadata, rows=wide)[1]["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert {len(each) for each in ids} == {16}
    assert all(int(each, 16) >= 0 for each in ids)


def test_requests_of_one_batch_are_linked_to_it(server: KanServe, receiver: Receiver, module_gate: Gate) -> None:
    """Both ways: the batch has a trace of its own with links to its members, and their compute spans link to it."""
    first, second, third, unsampled = (new_ids().trace_id for _ in range(4))
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(KanApi.path)

        def send(trace_id: str, flags: str = "01") -> Any:
            return method.future(KanApi.request("slow", _ROWS), timeout=60, metadata=[_parent(trace_id, flags)])

        with module_gate.closed():
            begun = server.sample("kan_queue_duration_seconds_count", model="slow")
            calls = [send(first)]
            wait_for(lambda: server.sample("kan_queue_duration_seconds_count", model="slow") > begun)
            calls += [send(second), send(third), send(unsampled, flags="00")]
            wait_for(lambda: server.sample("kan_queue_rows", model="slow") == 6)
        for call in calls:
            call.result()
    spans = {trace_id: receiver.wait_for(_PREDICT, trace_id)[0] for trace_id in (first, second, third)}
    batches = []
    for members, size in (((first,), 1), ((second, third), 3)):
        computed = [receiver.wait_for("compute", member)[0] for member in members]
        (link,) = {(link.trace_id, link.span_id) for span in computed for link in span.links}
        (batch,) = receiver.wait_for("batch", link[0].hex())
        assert (batch.span_id, batch.parent_span_id) == (link[1], b"")
        assert attributes(batch.attributes) == {"kan.batch.rows": 2 * size, "kan.batch.requests": size}
        linked = {(each.trace_id, each.span_id) for each in batch.links}
        assert linked == {(spans[member].trace_id, spans[member].span_id) for member in members}
        for span in computed:
            assert abs(span.start_time_unix_nano - batch.start_time_unix_nano) < _SLACK_NS
            assert abs(span.end_time_unix_nano - batch.end_time_unix_nano) < _SLACK_NS
        batches.append(batch)
    assert len({batch.trace_id for batch in batches} | {span.trace_id for span in spans.values()}) == 5
    assert not receiver.named(_PREDICT, unsampled)


def test_a_call_that_runs_out_of_time_in_the_queue_ends_there(
    server: KanServe, receiver: Receiver, module_gate: Gate, trace_id: str
) -> None:
    """Its last part is the queue, and its error type is the code."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(KanApi.path)
        with module_gate.closed():
            begun = server.sample("kan_queue_duration_seconds_count", model="slow")
            first = method.future(KanApi.request("slow", _ROWS), timeout=60)
            wait_for(lambda: server.sample("kan_queue_duration_seconds_count", model="slow") > begun)
            second = method.future(KanApi.request("slow", _ROWS), timeout=3, metadata=[_parent(trace_id)])
            assert second.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            (span,) = receiver.wait_for(_PREDICT, trace_id)
        first.result()
    assert attributes(span.attributes)["error.type"] == "DEADLINE_EXCEEDED"
    assert span.status.code == Status.STATUS_CODE_ERROR
    (queue,) = receiver.named("queue", trace_id)
    assert queue.end_time_unix_nano > queue.start_time_unix_nano
    assert abs(queue.end_time_unix_nano - span.end_time_unix_nano) < 1000
    assert not receiver.named("compute", trace_id)


def test_each_request_of_a_stream_is_a_call_of_its_own(server: KanServe, receiver: Receiver, trace_id: str) -> None:
    """Each a child of the caller's span, with its own parts."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.stream_stream(KanApi.stream_path)
        requests = [KanApi.request("affine", _ROWS, str(number)) for number in range(3)]
        assert len(list(method(iter(requests), timeout=60, metadata=[_parent(trace_id)]))) == 3
    spans = receiver.wait_for(KanApi.stream_path.removeprefix("/"), trace_id, count=3)
    assert {span.parent_span_id.hex() for span in spans} == {_SPAN}
    assert len({span.span_id for span in spans}) == 3
    assert {span.parent_span_id for span in receiver.named("encode", trace_id)} == {span.span_id for span in spans}


def test_an_explanation_has_its_runs_too(server: KanServe, receiver: Receiver, trace_id: str) -> None:
    """Those of attribution.onnx, linked to their batches."""
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(f"/{_EXPLAIN}")
        features = pb.Matrix(rows=2, columns=4, raw=_ROWS.tobytes())
        request = pb.ExplainRequest(model="affine", features=features).SerializeToString()
        method(request, timeout=60, metadata=[_parent(trace_id)])
    (span,) = receiver.wait_for(_EXPLAIN, trace_id)
    (compute,) = receiver.named("compute", trace_id)
    assert compute.parent_span_id == span.span_id
    (batch,) = receiver.named("batch", compute.links[0].trace_id.hex())
    assert attributes(batch.attributes) == {"kan.batch.rows": 2, "kan.batch.requests": 1}


def test_the_histograms_have_exemplars_in_openmetrics(server: KanServe, trace_id: str) -> None:
    """Buckets of request, queue and compute time name the trace. As text, or of an unsampled call, none does."""
    unsampled = new_ids().trace_id
    assert _call(server, _parent(trace_id))[0] == _call(server, _parent(unsampled, flags="00"))[0] == "OK"
    found = traces_of_exemplars(server.metrics)
    assert {name for name, trace in found if trace == trace_id} == TIMED
    assert unsampled not in {trace for _, trace in found}
    assert trace_id not in server.get("/metrics")[1]
