"""Settings: defaults, environment, refusals."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KAN_")]:
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


def test_every_field_is_described() -> None:
    """Each field has a description of one line, which the command line shows."""
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert "\n" not in field.description


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAN_WORKERS", "0"),
        ("KAN_WORKERS", "257"),
        ("KAN_WORKERS", "many"),
        ("KAN_MAX_BATCH_ROWS", "0"),
        ("KAN_GRPC_PORT", "65536"),
        ("KAN_GRPC_PORT", "eight"),
        ("KAN_PROVIDER", "tpu"),
        ("KAN_MAX_QUEUE_DELAY_SECONDS", "nan"),
        ("KAN_GRACE_SECONDS", "-1"),
        ("KAN_HOST", ""),
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


@pytest.mark.parametrize("workers", [2, "auto"])
def test_several_workers_cannot_be_told_what_to_load(workers: Any) -> None:
    """A call that loads a model would reach one worker only: the message names both settings."""
    with pytest.raises(ValidationError, match=f"workers is {workers!r}: with --allow-load only 1"):
        Settings(workers=workers, allow_load=True)
    assert Settings(workers=1, allow_load=True).workers == 1


def test_workers_are_a_number_or_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by default; a number from the environment is a number."""
    assert Settings().workers == 1
    for text, workers in (("3", 3), ("auto", "auto")):
        monkeypatch.setenv("KAN_WORKERS", text)
        assert Settings().workers == workers


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
