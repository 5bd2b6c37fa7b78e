"""Settings: defaults, environment, refusals."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("KAN_", "OTEL_"))]:
        monkeypatch.delenv(name)


def test_defaults_are_the_documented_ones() -> None:
    """Without flags and environment, the ports, bounds and times equal those in the documentation."""
    settings = Settings()
    assert (settings.host, settings.grpc_port, settings.http_port) == ("127.0.0.1", 8001, 8002)
    assert (settings.max_batch_rows, settings.max_request_rows, settings.max_queue_rows) == (512, 4096, 8192)
    assert (settings.max_queue_delay_seconds, settings.max_message_bytes) == (0.0, 16 * 1024 * 1024)
    assert (settings.provider, settings.allow_fallback, settings.models) == ("cpu", False, Path("models"))


def test_environment_sets_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """KAN_… variables replace defaults, and arguments replace variables."""
    monkeypatch.setenv("KAN_GRPC_PORT", "9001")
    monkeypatch.setenv("KAN_PROVIDER", "cuda")
    settings = Settings(provider="cpu")
    assert (settings.grpc_port, settings.provider) == (9001, "cpu")


def test_the_receiver_of_traces_is_ours_or_opentelemetrys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours wins, then the variable for traces, then the one for all signals. An empty setting of ours turns it off."""
    assert (Settings().trace_endpoint, Settings().trace_sample) == ("", 0.01)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317")
    assert Settings().trace_endpoint == "http://all:4317"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317")
    assert Settings().trace_endpoint == "http://traces:4317"
    monkeypatch.setenv("KAN_TRACE_ENDPOINT", "http://ours:4317")
    assert Settings().trace_endpoint == "http://ours:4317"
    assert Settings(trace_endpoint="").trace_endpoint == ""


def test_every_field_is_described() -> None:
    """Each field has a description of one line, which the command line shows."""
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert "\n" not in field.description


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAN_MAX_BATCH_ROWS", "0"),
        ("KAN_GRPC_PORT", "65536"),
        ("KAN_GRPC_PORT", "eight"),
        ("KAN_PROVIDER", "tpu"),
        ("KAN_MAX_QUEUE_DELAY_SECONDS", "nan"),
        ("KAN_GRACE_SECONDS", "-1"),
        ("KAN_HOST", ""),
        ("KAN_TRACE_SAMPLE", "1.01"),
        ("KAN_TRACE_SAMPLE", "-0.1"),
        ("KAN_TRACE_SAMPLE", "nan"),
    ],
)
def test_bad_values_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A value out of range or of the wrong type is refused with the field's name."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.removeprefix("KAN_").lower()):
        Settings()


def test_queue_must_hold_the_largest_request() -> None:
    """A queue smaller than the largest request would refuse that request for ever, so it is an error at start."""
    with pytest.raises(ValidationError, match="refused"):
        Settings(max_request_rows=100, max_queue_rows=99)


def test_settings_do_not_change() -> None:
    """Settings are frozen."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().grpc_port = 1


def test_unknown_arguments_are_refused() -> None:
    """A misspelt name is an error, never silence."""
    with pytest.raises(ValidationError, match="max_batch_row"):
        Settings(max_batch_row=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("message_bytes", "inflight_bytes"), [(2**20, 48 * 2**20), (64 * 2**20, 192 * 2**20), (2**31 - 1, 3 * (2**31 - 1))]
)
def test_the_bytes_in_flight_follow_the_largest_message(
    message_bytes: int, inflight_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A larger max_message_bytes needs no other setting: three such messages may be held, and 48 MiB at least."""
    monkeypatch.setenv("KAN_MAX_MESSAGE_BYTES", str(message_bytes))
    assert Settings().max_inflight_bytes == Settings(max_inflight_bytes=0).max_inflight_bytes == inflight_bytes
    assert Settings(max_inflight_bytes=message_bytes).max_inflight_bytes == message_bytes
