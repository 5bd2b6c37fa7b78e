"""The gRPC port that several workers share: held by their parent, so that a second server fails to start."""

import errno
import socket
import sys
from typing import Self

from service.errors import StartupError
from service.frontends.address import advise_on_port, bind, check_free


class SharedPort:
    """A port that the workers of one parent may listen on. Made by :meth:`hold`.

    SO_REUSEPORT lets any process of the same user join a port in silence. So the parent also holds a lock: an abstract
    Unix socket, which belongs to the network namespace as the port does, and ends with its process.

    Attributes:
        number: Its number.
    """

    def __init__(self, held: list[socket.socket], locks: list[socket.socket]) -> None:
        self.number = int(held[0].getsockname()[1])
        self._sockets = [*held, *locks]

    @classmethod
    def hold(cls, host: str, port: int) -> Self:
        """Reserve a port. No connection comes to this process, because it does not listen.

        Args:
            host: Address or host name.
            port: Port; 0 takes a free one.

        Raises:
            StartupError: Another process has the port, or the system cannot spread connections over processes.
        """
        if sys.platform != "linux":
            raise StartupError("more than one worker needs Linux, which spreads connections over processes")
        opened: list[socket.socket] = []
        try:
            held = bind(host, port, shared=True)
            opened += held
            for each in held:
                address, number = each.getsockname()[:2]
                lock = socket.socket(socket.AF_UNIX)
                opened.append(lock)
                lock.bind(f"\0kan-serve {address} {number}")
            check_free(host, int(held[0].getsockname()[1]))
            for each in held:
                # With it another server could listen on the port as long as no worker does, while models are loaded.
                # It was needed to bind: connections of a server that has ended would hold the port for a minute.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except BaseException as error:
            for each in opened:
                each.close()
            if isinstance(error, OSError):
                in_use = error.errno == errno.EADDRINUSE
                reason = "Address already in use" if in_use else error.strerror or error
                advice = advise_on_port(error, "--grpc-port")
                raise StartupError(f"cannot listen for gRPC on {host}:{port}: {reason}{advice}") from error
            raise
        return cls(held, opened[len(held) :])

    def close(self) -> None:
        """Give the port up."""
        for each in self._sockets:
            each.close()
