"""The line on standard output that says where a server listens. Scripts wait for it."""

from collections.abc import Sequence

_MOST_VERSIONS = 1000


def ready_line(
    host: str, grpc_port: int, http_port: int, metrics_port: int | None, versions: Sequence[str], *, is_ready: bool
) -> str:
    """The line.

    Args:
        host: Address or host name.
        grpc_port: The port for gRPC.
        http_port: The port for probes, and for metrics too if they have none of their own.
        metrics_port: The port for metrics, if that is another.
        versions: The versions that answer, as "digits/1". The line names the first thousand and counts the others.
        is_ready: Whether the server should get requests.
    """
    shown = f"[{host}]" if ":" in host else host
    state = "ready" if is_ready else "not ready"
    ports = {"grpc": grpc_port, "http": http_port, "metrics": metrics_port}
    listed = " ".join(f"{name}={shown}:{port}" for name, port in ports.items() if port is not None)
    more = f",+{len(versions) - _MOST_VERSIONS}" if len(versions) > _MOST_VERSIONS else ""
    return f"kan-serve {state}: {listed} models={','.join(versions[:_MOST_VERSIONS])}{more}"
