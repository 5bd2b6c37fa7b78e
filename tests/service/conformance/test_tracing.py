"""Traces of both front ends, received over real gRPC by what a collector is to a server."""

import signal
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import grpc
import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.kit.callers.protocols import KanApi, OpenInference
from tests.kit.models.repository import WriteModel
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, Start, run_kan_serve
from tests.kit.server.otlp import Receiver, attributes, receiving
from tests.kit.waiting import wait_for

_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_SAMPLED, _UNSAMPLED = f"00-{_TRACE}-{_SPAN}-01", f"00-{_TRACE}-{_SPAN}-00"
_PREDICT = KanApi.path.removeprefix("/")
# Each trace has read the clock of the day once, and the monotonic one beside it.
_SLACK_NS = 1_000_000
_ROWS = np.ones((2, 4), np.float32)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of traces."""
    with receiving() as started:
        yield started


@pytest.fixture
def traced(start: Start, write_model: WriteModel, receiver: Receiver) -> KanServe:
    """A kan-serve of affine that traces the calls whose callers ask for it."""
    write_model("affine")
    return start("--trace-endpoint", receiver.address, "--trace-sample", "0")


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


def _end(server: KanServe) -> None:
    """Stop it: what is queued is sent."""
    code, log = server.stop()
    assert code == 0, log


@pytest.mark.parametrize("protocol", [KanApi, OpenInference])
def test_a_sampled_call_is_a_span_with_its_parts(traced: KanServe, receiver: Receiver, protocol: Any) -> None:
    """It continues the caller's trace by the conventions; its parts lie in it, end to end, and fill it."""
    assert _call(traced, ("traceparent", _SAMPLED), ("tracestate", "a=1"), protocol=protocol)[0] == "OK"
    (span,) = receiver.wait_for(protocol.path.removeprefix("/"))
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (_TRACE, _SPAN, "a=1")
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.status.code == Status.STATUS_CODE_UNSET
    found = attributes(span.attributes)
    assert found.pop("kan.request.id")
    host, port = traced.grpc.rsplit(":", 1)
    assert found == {
        "rpc.system.name": "grpc",
        "rpc.method": protocol.path.removeprefix("/"),
        "rpc.response.status_code": "OK",
        "server.address": host,
        "server.port": int(port),
        "kan.model.name": "affine",
        "kan.model.version": "1",
    }
    parts = [one for name in ("decode", "queue", "compute", "encode") for one in receiver.named(name)]
    assert [part.name for part in parts] == ["decode", "queue", "compute", "encode"]
    assert {(part.trace_id, part.parent_span_id, part.kind) for part in parts} == {
        (span.trace_id, span.span_id, Span.SPAN_KIND_INTERNAL)
    }
    moments = [span.start_time_unix_nano, *(part.end_time_unix_nano for part in parts)]
    assert [part.start_time_unix_nano for part in parts] == moments[:-1]
    assert moments == sorted(moments)
    assert abs(moments[-1] - span.end_time_unix_nano) < 1000
    assert len({one.span_id for one in receiver.spans}) == 6


def test_only_sampled_calls_are_traced(traced: KanServe, receiver: Receiver) -> None:
    """A parent that is not sampled, none at all, and nonsense of every kind are answered and not traced."""
    for value in ("", _UNSAMPLED, "00", "x" * 4000, f"ff-{_TRACE}-{_SPAN}-01", f"00-{'0' * 32}-{_SPAN}-01"):
        assert _call(traced, ("traceparent", value))[0] == "OK"
    assert _call(traced)[0] == "OK"
    assert _call(traced, ("traceparent", _SAMPLED), ("tracestate", "y=" + "x" * 4000))[0] == "OK"
    (span,) = receiver.wait_for(_PREDICT)
    assert span.trace_state == ""
    _end(traced)
    assert len(receiver.named(_PREDICT)) == 1


def test_a_share_of_the_other_calls_is_traced(start: Start, write_model: WriteModel, receiver: Receiver) -> None:
    """At 1 every call is the root of a trace of its own; the callers' decision against it is obeyed."""
    write_model("affine")
    server = start("--trace-endpoint", receiver.address, "--trace-sample", "1")
    for _ in range(5):
        assert _call(server)[0] == "OK"
    assert _call(server, ("traceparent", _UNSAMPLED))[0] == "OK"
    _end(server)
    calls = receiver.named(_PREDICT)
    assert len({span.trace_id for span in calls}) == len(calls) == 5
    assert {span.parent_span_id for span in calls} == {b""}


def test_a_failed_call_has_its_code_and_its_request_id(traced: KanServe, receiver: Receiver) -> None:
    """The trailing metadata name the request as its span does. The caller's mistakes are no errors of the server."""
    code, trailers = _call(traced, ("traceparent", _SAMPLED), ("x-request-id", "order 66"), model="absent")
    assert (code, trailers["x-request-id"]) == ("NOT_FOUND", "order 66")
    (span,) = receiver.wait_for(_PREDICT)
    found = attributes(span.attributes)
    assert (found["rpc.response.status_code"], found["kan.request.id"]) == ("NOT_FOUND", "order 66")
    assert "error.type" not in found
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert not receiver.named("queue")


@pytest.mark.parametrize("given", [None, "", "x" * 129, "x" * 5000])
def test_a_request_without_an_id_that_fits_gets_one(traced: KanServe, given: str | None) -> None:
    """16 hexadecimal digits, another one each time."""
    metadata = () if given is None else (("x-request-id", given),)
    ids = {_call(traced, *metadata, model="absent")[1]["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert {len(each) for each in ids} == {16}
    assert all(int(each, 16) >= 0 for each in ids)


def test_requests_of_one_batch_are_linked_to_it(
    start: Start, write_model: WriteModel, receiver: Receiver, gate: Gate
) -> None:
    """Both ways: the batch has a trace of its own with links to its members, and their compute spans link to it."""
    write_model("slow")
    server = start("--trace-endpoint", receiver.address, "--trace-sample", "0")
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(KanApi.path)

        def send(trace: int, flags: str = "01") -> Any:
            metadata = [("traceparent", f"00-{trace:032x}-{_SPAN}-{flags}")]
            return method.future(KanApi.request("slow", _ROWS), timeout=60, metadata=metadata)

        with gate.closed():
            calls = [send(1)]
            wait_for(lambda: server.sample("kan_queue_duration_seconds_count", model="slow") == 1)
            calls += [send(2), send(3), send(4, flags="00")]
            wait_for(lambda: server.sample("kan_queue_rows", model="slow") == 6)
        for call in calls:
            call.result()
    _end(server)
    alone, together = sorted(receiver.named("batch"), key=lambda span: len(span.links))
    assert attributes(alone.attributes) == {"kan.batch.rows": 2, "kan.batch.requests": 1}
    assert attributes(together.attributes) == {"kan.batch.rows": 6, "kan.batch.requests": 3}
    calls_of = {int.from_bytes(span.trace_id): span for span in receiver.named(_PREDICT)}
    assert set(calls_of) == {1, 2, 3}
    for batch, members in ((alone, {1}), (together, {2, 3})):
        linked = {(link.trace_id, link.span_id) for link in batch.links}
        assert linked == {(calls_of[member].trace_id, calls_of[member].span_id) for member in members}
        computed = [span for span in receiver.named("compute") if int.from_bytes(span.trace_id) in members]
        assert len(computed) == len(members)
        for span in computed:
            assert [(link.trace_id, link.span_id) for link in span.links] == [(batch.trace_id, batch.span_id)]
            assert span.start_time_unix_nano <= batch.start_time_unix_nano + _SLACK_NS
            assert span.end_time_unix_nano >= batch.end_time_unix_nano - _SLACK_NS
    assert len({batch.trace_id for batch in (alone, together)} | {span.trace_id for span in calls_of.values()}) == 5


def test_a_call_that_runs_out_of_time_in_the_queue_ends_there(
    start: Start, write_model: WriteModel, receiver: Receiver, gate: Gate
) -> None:
    """Its last part is the queue, its error type is the code."""
    write_model("slow")
    server = start("--trace-endpoint", receiver.address, "--trace-sample", "0")
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(KanApi.path)
        with gate.closed():
            first = method.future(KanApi.request("slow", _ROWS), timeout=60)
            wait_for(lambda: server.sample("kan_queue_duration_seconds_count", model="slow") == 1)
            second = method.future(KanApi.request("slow", _ROWS), timeout=0.3, metadata=[("traceparent", _SAMPLED)])
            assert second.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            (span,) = receiver.wait_for(_PREDICT)
        first.result()
    assert attributes(span.attributes)["error.type"] == "DEADLINE_EXCEEDED"
    assert span.status.code == Status.STATUS_CODE_ERROR
    (queue,) = receiver.named("queue")
    assert 0.2e9 < queue.end_time_unix_nano - queue.start_time_unix_nano < 60e9
    assert not receiver.named("compute")


def test_each_request_of_a_stream_is_a_call_of_its_own(traced: KanServe, receiver: Receiver) -> None:
    """Each a child of the caller's span, with its own parts."""
    with grpc.insecure_channel(traced.grpc, traced.options) as channel:
        method: Any = channel.stream_stream(KanApi.stream_path)
        requests = [KanApi.request("affine", _ROWS, str(number)) for number in range(3)]
        assert len(list(method(iter(requests), timeout=60, metadata=[("traceparent", _SAMPLED)]))) == 3
    spans = receiver.wait_for(KanApi.stream_path.removeprefix("/"), 3)
    assert {(span.trace_id.hex(), span.parent_span_id.hex()) for span in spans} == {(_TRACE, _SPAN)}
    assert len({span.span_id for span in spans}) == 3
    assert {span.parent_span_id for span in receiver.named("encode")} == {span.span_id for span in spans}


def test_a_receiver_that_is_not_there_delays_no_call_and_no_stop(start: Start, write_model: WriteModel) -> None:
    """Calls are answered, the log says once that traces are not received, and they are counted as lost."""
    write_model("affine")
    server = start("--trace-endpoint", "http://127.0.0.1:1", "--trace-sample", "1")
    for _ in range(20):
        assert _call(server)[0] == "OK"
    wait_for(lambda: "traces are not received: UNAVAILABLE" in server.log.read_text())
    code, log = server.stop(30)
    assert code == 0, log
    assert log.count("traces are not received") == 1, log


def test_a_receiver_that_hangs_delays_no_stop(traced: KanServe, receiver: Receiver) -> None:
    """The stop takes its two seconds for it, and no more."""
    receiver.open.clear()
    assert _call(traced, ("traceparent", _SAMPLED))[0] == "OK"
    code, log = traced.stop(20)
    assert code == 0, log
    assert "abandoned" not in log
    receiver.open.set()


def test_a_second_signal_waits_for_no_receiver(traced: KanServe, receiver: Receiver) -> None:
    """The end comes at once, with the exit code of a stop."""
    receiver.open.clear()
    assert _call(traced, ("traceparent", _SAMPLED))[0] == "OK"
    traced.signal(signal.SIGTERM)
    traced.signal(signal.SIGTERM)
    assert traced.finish(20)[0] == 0


def test_the_standard_variables_are_read(start: Start, write_model: WriteModel, receiver: Receiver) -> None:
    """OpenTelemetry's own: the receiver, headers, the service's name and its attributes."""
    write_model("affine")
    server = start(
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20secret,X-Tenant=a",
        OTEL_SERVICE_NAME="prices",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test,service.name=other",
    )
    assert _call(server, ("traceparent", _SAMPLED))[0] == "OK"
    receiver.wait_for(_PREDICT)
    resource = attributes(receiver.messages[0].resource_spans[0].resource.attributes)
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("prices", "test")
    assert (receiver.metadata[0]["authorization"], receiver.metadata[0]["x-tenant"]) == ("Bearer secret", "a")


def test_an_endpoint_that_cannot_be_used_is_an_error_at_the_start(models: Any, frontend: str) -> None:
    """With exit code 1 and one line that says what is wanted."""
    ended = run_kan_serve(models, "--frontend", frontend, "--trace-endpoint", "localhost:4317")
    assert ended.returncode == 1, ended.stderr
    assert "trace_endpoint is 'localhost:4317'; wanted http://HOST:PORT" in ended.stderr


def test_without_the_extra_a_start_says_which_one_is_needed(
    models: Any, frontend: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traces were asked for, so the server does not start without them."""
    # Found before the installed package: it has no messages.
    (tmp_path / "hidden" / "opentelemetry").mkdir(parents=True)
    (tmp_path / "hidden" / "opentelemetry" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    ended = run_kan_serve(models, "--frontend", frontend, "--trace-endpoint", "http://127.0.0.1:4317")
    assert ended.returncode == 1, ended.stderr
    assert "pip install 'kan-serving[otel]'" in ended.stderr


def test_the_histograms_have_exemplars_in_openmetrics(traced: KanServe) -> None:
    """The buckets of request, queue and compute time name the trace; without a sampled call, or as text, none does."""

    def exemplars() -> dict[str, dict[str, str]]:
        request = Request(f"http://{traced.http}/metrics", headers={"Accept": "application/openmetrics-text"})
        with urlopen(request, timeout=60) as answer:
            text = answer.read().decode()
        families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        samples = [sample for family in families for sample in family.samples]
        return {sample.name: sample.exemplar.labels for sample in samples if sample.exemplar}

    assert _call(traced)[0] == "OK"
    assert exemplars() == {}
    assert _call(traced, ("traceparent", _SAMPLED))[0] == "OK"
    assert exemplars() == {
        f"kan_{what}_duration_seconds_bucket": {"trace_id": _TRACE} for what in ("request", "queue", "compute")
    }
    assert _TRACE not in traced.get("/metrics")[1]
