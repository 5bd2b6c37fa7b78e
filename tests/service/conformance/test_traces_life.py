"""Traces from the start of a server to its end, with a receiver that answers, hangs, or is not there."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.kit.callers.protocols import KanApi
from tests.kit.models.repository import WriteModel
from tests.kit.server.certificates import Authority
from tests.kit.server.kan_serve import KanServe, Start, run_kan_serve
from tests.kit.server.otlp import Receiver, attributes, receiving
from tests.kit.waiting import wait_for

_PREDICT = KanApi.path.removeprefix("/")
_UNSAMPLED = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of traces."""
    with receiving() as started:
        yield started


@pytest.fixture(autouse=True)
def _a_model(write_model: WriteModel) -> None:
    write_model("affine")


def _call(server: KanServe, count: int = 1, metadata: tuple[tuple[str, str], ...] = ()) -> None:
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(KanApi.path)
        for _ in range(count):
            method(KanApi.request("affine", np.ones((1, 4), np.float32)), timeout=60, metadata=metadata)


def test_a_share_of_the_calls_is_traced_and_a_stop_sends_the_last(start: Start, receiver: Receiver) -> None:
    """At 1 every call is the root of a trace of its own, also the last one. A caller's decision against it holds."""
    server = start("--trace-endpoint", receiver.address, "--trace-sample", "1")
    _call(server, metadata=(_UNSAMPLED,))
    _call(server, 5)
    code, log = server.stop()
    assert code == 0, log
    calls = receiver.named(_PREDICT)
    assert len({span.trace_id for span in calls}) == len(calls) == 5
    assert {span.parent_span_id for span in calls} == {b""}


def test_the_standard_variables_are_read(start: Start, receiver: Receiver) -> None:
    """OpenTelemetry's own: the receiver, headers, the service's name and its attributes."""
    server = start(
        "--trace-sample",
        "1",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20secret,X-Tenant=a",
        OTEL_SERVICE_NAME="prices",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test,service.name=other",
    )
    _call(server)
    receiver.wait_for(_PREDICT)
    resource = attributes(receiver.messages[0].resource_spans[0].resource.attributes)
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("prices", "test")
    assert (receiver.metadata[0]["authorization"], receiver.metadata[0]["x-tenant"]) == ("Bearer secret", "a")
    wait_for(lambda: server.sample("kan_traces_total", result="sent") == 1)


def test_a_receiver_with_tls_gets_traces_if_its_authority_is_trusted(start: Start, tmp_path: Path) -> None:
    """Its certificate is checked with the authorities of OTEL_EXPORTER_OTLP_CERTIFICATE; others get no trace."""
    authority, other = Authority(tmp_path / "authority"), Authority(tmp_path / "other")
    with receiving(authority.issue("receiver")) as receiver:
        flags = ("--trace-endpoint", receiver.address, "--trace-sample", "1")
        distrusting = start(*flags, OTEL_EXPORTER_OTLP_CERTIFICATE=str(other.file))
        _call(distrusting)
        wait_for(lambda: "traces are not received: UNAVAILABLE" in distrusting.log.read_text())
        assert distrusting.stop(30)[0] == 0
        assert receiver.messages == []
        _call(start(*flags, OTEL_EXPORTER_OTLP_CERTIFICATE=str(authority.file)))
        (span,) = receiver.wait_for(_PREDICT)
        assert span.parent_span_id == b""


def test_a_receiver_that_is_not_there_delays_no_call_and_no_stop(start: Start) -> None:
    """Calls are answered, and the log says once that traces are not received."""
    server = start("--trace-endpoint", "http://127.0.0.1:1", "--trace-sample", "1")
    _call(server, 20)
    wait_for(lambda: "traces are not received: UNAVAILABLE" in server.log.read_text())
    code, log = server.stop(30)
    assert code == 0, log
    assert log.count("traces are not received") == 1, log


def test_a_receiver_that_hangs_delays_no_stop(start: Start, receiver: Receiver) -> None:
    """Nothing is abandoned, and the server ends long before the call to the receiver would."""
    server = start("--trace-endpoint", receiver.address, "--trace-sample", "1")
    receiver.open.clear()
    _call(server)
    code, log = server.stop(9)
    assert code == 0, log
    assert "abandoned" not in log, log


def test_a_second_signal_waits_for_no_receiver(start: Start, receiver: Receiver) -> None:
    """The end comes at once, with the exit code of a stop, and no line says that something hung."""
    server = start("--trace-endpoint", receiver.address, "--trace-sample", "1")
    receiver.open.clear()
    _call(server)
    server.signal(signal.SIGTERM)
    server.signal(signal.SIGTERM)
    code, _, log = server.finish(9)
    assert code == 0, log
    assert " ERROR " not in log, log


def test_an_endpoint_that_cannot_be_used_is_an_error_at_the_start(models: Path, frontend: str) -> None:
    """With exit code 1 and a line that says what is wanted."""
    ended = run_kan_serve(models, "--frontend", frontend, "--trace-endpoint", "localhost:4317")
    assert ended.returncode == 1, ended.stderr
    assert "trace_endpoint is 'localhost:4317'; wanted http://HOST:PORT" in ended.stderr


def test_without_the_extra_a_start_says_which_one_is_needed(
    models: Path, frontend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traces were asked for, so the server does not start without them."""
    # Found before the installed package: it has no messages.
    (tmp_path / "hidden" / "opentelemetry").mkdir(parents=True)
    (tmp_path / "hidden" / "opentelemetry" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    ended = run_kan_serve(models, "--frontend", frontend, "--trace-endpoint", "http://127.0.0.1:4317")
    assert ended.returncode == 1, ended.stderr
    assert "traces need the extra [otel]" in ended.stderr
    assert "[otel]'" in ended.stderr.partition(" install ")[2]
