"""The line on standard output that says where a server listens. Scripts wait for it."""

from collections.abc import Sequence

from service.settings import Settings

_MOST_VERSIONS = 1000


def ready_line(
    settings: Settings,
    grpc_port: int,
    http_port: int,
    metrics_port: int | None,
    versions: Sequence[str],
    *,
    is_ready: bool,
) -> str:
    """The line. It names TLS and tokens where they are on.

    Args:
        settings: Have the address or host name.
        grpc_port: The port for gRPC.
        http_port: The port for probes, and for metrics too if they have none of their own.
        metrics_port: The port for metrics, if that is another.
        versions: The versions that answer, as "digits/1". The line names the first thousand and counts the others.
        is_ready: Whether the server should get requests.
    """
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    state = "ready" if is_ready else "not ready"
    ports = {"grpc": grpc_port, "http": http_port, "metrics": metrics_port}
    words = [f"{name}={shown}:{port}" for name, port in ports.items() if port is not None]
    if settings.tls_cert:
        words.append(f"tls={'mutual' if settings.tls_client_ca else 'on'}")
    if settings.tokens:
        words.append("tokens=on")
    more = f",+{len(versions) - _MOST_VERSIONS}" if len(versions) > _MOST_VERSIONS else ""
    return f"kan-serve {state}: {' '.join(words)} models={','.join(versions[:_MOST_VERSIONS])}{more}"
