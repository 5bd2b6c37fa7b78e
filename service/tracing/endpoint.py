"""Where traces are sent, and how often: the receiver of OTLP over gRPC.

Source: OpenTelemetry's specification of OTLP exporters; the variables that are read here are in docs/tracing.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from service.errors import StartupError

_DEFAULT_PORT = 4317
# The variable, its default and its largest value are in milliseconds. Source: the specification of BatchSpanProcessor.
_DELAY, _DEFAULT_DELAY, _LONGEST_DELAY = "OTEL_BSP_SCHEDULE_DELAY", 5_000, 60_000
# gRPC keeps grpc-… to itself, and values of …-bin are bytes.
_KEY = re.compile(r"(?!grpc-)[a-z0-9_.-]+(?<!-bin)")


@dataclass(frozen=True)
class Endpoint:
    """A receiver.

    Attributes:
        target: "host:port", as gRPC takes it.
        is_secure: Whether to use TLS.
        roots: Certificates of authorities in PEM; None takes those of gRPC.
        headers: Metadata of each call, for example a token.
        pause_seconds: Between one sending and the next.
    """

    target: str
    is_secure: bool
    roots: bytes | None
    headers: tuple[tuple[str, str], ...]
    pause_seconds: float


def endpoint_of(address: str, environment: Mapping[str, str]) -> Endpoint:
    """The receiver at an address such as http://127.0.0.1:4317; headers and certificates are in the environment.

    Raises:
        StartupError: The address, the headers, the file of certificates or the pause cannot be used.
    """
    protocol = _variable(environment, "PROTOCOL") or "grpc"
    if protocol != "grpc":
        raise StartupError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; kan-serve sends traces over 'grpc' only")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query:
        raise StartupError(
            f"trace_endpoint is {address!r}; wanted http://HOST:PORT, or https, of a receiver of OTLP over gRPC"
        )
    shown = f"[{host}]" if ":" in host else host
    is_secure = parts.scheme == "https"
    roots = _roots(environment) if is_secure else None
    return Endpoint(f"{shown}:{port}", is_secure, roots, _headers(environment), _pause_seconds(environment))


def _roots(environment: Mapping[str, str]) -> bytes | None:
    file = _variable(environment, "CERTIFICATE")
    try:
        return Path(file).read_bytes() if file else None
    except OSError as error:
        raise StartupError(f"OTEL_EXPORTER_OTLP_CERTIFICATE is {file!r}, which cannot be read: {error}") from error


def _headers(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The pairs of OTEL_EXPORTER_OTLP_HEADERS: "key=value,key=value", values percent-encoded."""
    headers = []
    for pair in filter(None, map(str.strip, _variable(environment, "HEADERS").split(","))):
        key, equals, text = pair.partition("=")
        key, value = key.strip().lower(), unquote(text.strip())
        # What follows the key may be a secret, so it is not shown.
        if not equals or not _KEY.fullmatch(key):
            shown = repr(key) if equals else "one without '='"
            raise StartupError(f"OTEL_EXPORTER_OTLP_HEADERS has {shown}; wanted KEY=VALUE,KEY=VALUE with keys of gRPC")
        if not value.isascii() or not value.isprintable():
            raise StartupError(f"OTEL_EXPORTER_OTLP_HEADERS has a value for {key!r} that is not printable ASCII")
        headers.append((key, value))
    return tuple(headers)


def _pause_seconds(environment: Mapping[str, str]) -> float:
    text = environment.get(_DELAY) or str(_DEFAULT_DELAY)
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= _LONGEST_DELAY:
        raise StartupError(f"{_DELAY} is {text!r}; wanted milliseconds, from 1 to {_LONGEST_DELAY}")
    return int(text) / 1000


def _variable(environment: Mapping[str, str], name: str) -> str:
    """The variable for traces, or the one for all signals."""
    return environment.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environment.get(f"OTEL_EXPORTER_OTLP_{name}") or ""
