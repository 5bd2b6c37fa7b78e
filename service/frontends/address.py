"""Whether an address can be listened on."""

import socket

from service.errors import StartupError


def check_free(host: str, port: int) -> None:
    """Try an address before a library does, whose failure names no reason or fills the log.

    Args:
        host: Address or host name.
        port: Port; 0 is always free.

    Raises:
        StartupError: It cannot be listened on.
    """
    if not port:
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen()
    except OSError as error:
        raise StartupError(f"cannot listen for gRPC on {host}:{port}: {error.strerror or error}") from error
