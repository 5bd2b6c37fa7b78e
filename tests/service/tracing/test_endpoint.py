"""The receiver's address, and what OpenTelemetry's variables say of it."""

from pathlib import Path

import pytest

from service.errors import StartupError
from service.tracing.endpoint import Endpoint, endpoint_of


@pytest.mark.parametrize(
    ("address", "target", "is_secure"),
    [
        ("http://127.0.0.1:4317", "127.0.0.1:4317", False),
        ("http://collector", "collector:4317", False),
        ("http://collector:4317/", "collector:4317", False),
        ("https://collector:443", "collector:443", True),
        ("http://[::1]:4317", "[::1]:4317", False),
    ],
)
def test_addresses_as_the_specification_has_them(address: str, target: str, is_secure: bool) -> None:
    """The scheme says whether TLS is used; the port is 4317 if none is given."""
    assert endpoint_of(address, {}) == Endpoint(target, is_secure, None, (), 5.0)


def test_the_variables_for_traces_win(tmp_path: Path) -> None:
    """Over those for all signals; values are percent-decoded, keys are in lower case."""
    (tmp_path / "roots.pem").write_bytes(b"roots")
    environment = {
        "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": " X-Key = a%2Cb , other=c=d ,",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "roots.pem"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    environment["OTEL_BSP_SCHEDULE_DELAY"] = "250"
    endpoint = endpoint_of("https://a", environment)
    assert endpoint.pause_seconds == 0.25
    assert endpoint.headers == (("x-key", "a,b"), ("other", "c=d"))
    assert endpoint.roots == b"roots"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "'grpc' only"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "wanted KEY=VALUE"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c", "wanted KEY=VALUE"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "token-bin=c", "wanted KEY=VALUE"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "grpc-timeout=c", "wanted KEY=VALUE"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0Ab", "not printable ASCII"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/absent.pem", "cannot be read"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s", "wanted milliseconds"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "wanted milliseconds"),
        ("OTEL_BSP_SCHEDULE_DELAY", "60001", "wanted milliseconds"),
    ],
)
def test_variables_that_cannot_be_used_are_errors(name: str, value: str, words: str) -> None:
    """They name the variable. The value of a header, which may be a secret, is not shown."""
    with pytest.raises(StartupError, match=words) as caught:
        endpoint_of("https://a", {name: value})
    assert name in str(caught.value)
    assert "HEADERS" not in name or value not in str(caught.value)
