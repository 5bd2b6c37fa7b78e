"""Settings: defaults, environment, refusals."""

from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from kan_api.ground import POLICIES
from service.settings import FLAGS, ModelTable, Settings


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
    for name, field in FLAGS.items():
        assert field.description, name
        assert "\n" not in field.description


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAN_WORKERS", "0"),
        ("KAN_WORKERS", "257"),
        ("KAN_WORKERS", "many"),
        ("KAN_MAX_BATCH_ROWS", "0"),
        ("KAN_MAX_LOADED_MODELS", "-1"),
        ("KAN_MAX_LOADED_MODELS", "few"),
        ("KAN_MAX_LOADED_BYTES", "-1"),
        ("KAN_TRACE_SAMPLE", "1.01"),
        ("KAN_TRACE_SAMPLE", "-0.1"),
        ("KAN_TRACE_SAMPLE", "nan"),
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


@pytest.mark.parametrize("given", [{"http_port": 8001}, {"metrics_port": 8001}])
def test_each_listener_has_a_port_of_its_own(given: dict[str, int]) -> None:
    """All listen on one host, so the second would fail with the system's words; free ports never collide."""
    with pytest.raises(ValidationError, match=f"_port and {list(given)[-1]} are both {max(given.values())}: wanted a"):
        Settings.model_validate(given)
    assert Settings.model_validate({"grpc_port": 0, "http_port": 0, "metrics_port": 0}).metrics_port == 0


_DOORS = [{"tokens": "tokens.toml"}, {"tls_cert": "tls.crt", "tls_key": "tls.key"}]


@pytest.mark.parametrize("doors", [*_DOORS, _DOORS[0] | _DOORS[1]])
@pytest.mark.parametrize(
    ("given", "apart_port"),
    [
        ({}, 8003),
        ({"http_port": 0}, 0),
        ({"http_port": 8000}, 8002),  # since gRPC has 8001
        ({"metrics_port": 9}, 9),
        ({"metrics_port": 0}, 0),
        ({"metrics_port": 8002}, None),
        ({"metrics_port": 0, "http_port": 0}, 0),
    ],
)
def test_closed_doors_have_a_port_for_health_alone(
    doors: dict[str, str], given: dict[str, int], apart_port: int | None
) -> None:
    """With TLS or tokens metrics are on the port after that of health, or on the one that is asked for, that of health
    too.
    """
    assert Settings.model_validate(doors | given).apart_metrics_port == apart_port


def test_open_doors_have_one_port_for_health_and_metrics() -> None:
    """Without TLS and tokens, unless another is asked for."""
    assert Settings().apart_metrics_port is None
    assert Settings(metrics_port=8002).apart_metrics_port is None
    assert Settings(metrics_port=9).apart_metrics_port == 9


def test_no_port_after_that_of_health_is_told() -> None:
    """The last port has none after it."""
    with pytest.raises(ValidationError, match="http_port is 65535, with no port after it: wanted metrics_port"):
        Settings(tokens="tokens.toml", http_port=65535)
    assert Settings(tokens="tokens.toml", http_port=65535, metrics_port=65535).apart_metrics_port is None


def test_queue_must_hold_the_largest_request() -> None:
    """A queue smaller than the largest request would refuse that request for ever, so it is an error at start."""
    with pytest.raises(ValidationError, match="refused"):
        Settings(max_request_rows=100, max_queue_rows=99)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"tls_cert": "a"}, "tls_cert is set, and tls_key is not: give --tls-key, KAN_TLS_KEY or the key tls_key too"),
        ({"tls_key": "a"}, "tls_key is set, and tls_cert is not: give --tls-cert"),
        ({"tls_client_ca": "a"}, "tls_client_ca is set, and tls_cert is not: give --tls-cert"),
    ],
)
def test_tls_needs_all_of_its_files(given: dict[str, str], word: str) -> None:
    """A certificate without a key, or authorities of callers without TLS, are refused."""
    with pytest.raises(ValidationError, match=word):
        Settings(**given)  # type: ignore[arg-type]


def test_access_is_open_by_default() -> None:
    """Without flags the port is plain, callers need no token, there is no access log, and a warning is not silenced."""
    settings = Settings()
    assert (settings.tls_cert, settings.tls_key, settings.tls_client_ca) == ("", "", "")
    assert (settings.tokens, settings.access_log, settings.insecure_public) == ("", "", False)
    assert settings.metrics_port is None


@pytest.mark.parametrize("workers", [2, "auto"])
@pytest.mark.parametrize("bound", ["max_loaded_models", "max_loaded_bytes"])
def test_several_workers_cannot_bound_what_is_loaded(workers: int | str, bound: str) -> None:
    """Each worker would load and let go other models."""
    with pytest.raises(
        ValidationError, match=f"workers is {workers!r}: with --max-loaded-models or --max-loaded-bytes"
    ):
        Settings.model_validate({"workers": workers, bound: 5})
    assert Settings.model_validate({"workers": 1, bound: 5}).loads_on_call
    assert Settings.model_validate({"workers": workers, bound: 0}).loads_on_call is False


def test_a_table_pins_its_model() -> None:
    """A model's own table wins over the one for all models; without either nothing is pinned."""
    settings = Settings(tables={"*": ModelTable(pinned=True), "wine": ModelTable(pinned=False), "iris": ModelTable()})
    assert [settings.is_pinned(name) for name in ("digits", "wine", "iris")] == [True, False, True]
    assert not Settings(tables={"wine": ModelTable(pinned=True)}).is_pinned("digits")


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


def test_a_table_holds_for_its_model_alone() -> None:
    """A model runs by its table, then by the table of all models, then by what holds for the server."""
    settings = Settings(
        max_batch_rows=100,
        tables={
            "digits": ModelTable(max_batch_rows=8, max_queue_rows=50, priority=3, provider="cuda"),
            "*": ModelTable(priority=1, max_deadline_seconds=2),
        },
    )
    digits, other = settings.of_model("digits"), settings.of_model("wine")
    assert (digits.max_batch_rows, digits.max_queue_rows) == (8, 50)
    assert (other.max_batch_rows, other.max_queue_rows) == (100, 8192)
    assert (digits.provider, other.provider) == ("cuda", "cpu")
    assert (settings.table_of("digits").priority, settings.table_of("wine").priority) == (3, 1)
    assert settings.table_of("digits").max_deadline_seconds == 2


def test_what_makes_a_model_be_loaded_again() -> None:
    """Only what its session, its batches and its queue are made for: not its quota, deadlines, priority or ground."""
    before = Settings()
    light = ModelTable(quota_rows_per_second=1, max_deadline_seconds=1, priority=1, unknown_ground="flag", versions="3")
    assert Settings(tables={"digits": light}).run_terms("digits") == before.run_terms("digits")
    for heavy in ({"max_batch_rows": 1}, {"max_queue_rows": 1}, {"max_queue_bytes": 1}, {"provider": "cuda"}):
        changed = Settings(tables={"digits": ModelTable.model_validate(heavy)})
        assert changed.run_terms("digits") != before.run_terms("digits"), heavy
        assert changed.run_terms("wine") == before.run_terms("wine")


def test_versions_of_a_table_win() -> None:
    """A model's own policy replaces the one for all models, named versions too."""
    tables = {"digits": ModelTable(versions="latest:2"), "wine": ModelTable(versions="1+3")}
    policy = Settings(versions="latest,digits=1", tables=tables).version_policy
    assert policy.wanted("digits", [1, 2, 3]) == ([3, 2, 1], 2)
    assert policy.wanted("wine", [1, 2, 3]) == ([3, 1], 2)
    assert policy.wanted("iris", [1, 2, 3]) == ([3, 2, 1], 1)


def test_the_policies_on_unknown_ground_are_those_of_manifests() -> None:
    """A table takes the same words as a manifest."""
    annotation = ModelTable.model_fields["unknown_ground"].annotation
    assert get_args(get_args(annotation)[0]) == POLICIES
