"""The line on standard output that says where a server listens. Scripts wait for it."""

from collections.abc import Sequence


def ready_line(host: str, grpc_port: int, http_port: int, versions: Sequence[str], *, is_ready: bool) -> str:
    """The line.

    Args:
        host: Address or host name.
        grpc_port: The port for gRPC.
        http_port: The port for metrics and probes.
        versions: Those that answer, as "digits/1".
        is_ready: Whether the server should get requests.
    """
    shown = f"[{host}]" if ":" in host else host
    state = "ready" if is_ready else "not ready"
    return f"kan-serve {state}: grpc={shown}:{grpc_port} http={shown}:{http_port} models={','.join(versions)}"
