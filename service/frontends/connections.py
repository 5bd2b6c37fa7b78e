"""The sockets of a server's connections, found by their peers, since no front end closes one where Python asks for it.

A duplicate of a file descriptor refers to the same socket whatever becomes of the descriptor, so that nothing is closed
that got its number meanwhile. The owner of the socket sees its connection end, and frees all that it holds of it.
"""

import logging
import os
import select
import socket
import time
from contextlib import suppress
from urllib.parse import unquote

_log = logging.getLogger(__name__)

# Callers who do not read may be many: one line a minute tells of them.
_LOG_SECONDS = 60.0

_Address = tuple[str, int]


class Connections:
    """The connections of this process; peers are as gRPC ("ipv4:127.0.0.1:80") or Envoy ("127.0.0.1:80") name them."""

    def __init__(self) -> None:
        self._numbers: dict[_Address, int] = {}
        self._told = -_LOG_SECONDS

    def is_backlogged(self, peer: str) -> bool:
        """Whether the peer takes no more bytes for now; False where there is no such connection any more."""
        found = self._find(peer)
        if found is None:
            return False
        with found:
            asked = select.poll()
            asked.register(found, select.POLLOUT)
            return not asked.poll(0)

    def close(self, peer: str) -> bool:
        """End a connection, whatever its peer does; False where there is no such connection any more."""
        found = self._find(peer)
        if found is None:
            return False
        with found, suppress(OSError):  # the peer may have ended it meanwhile
            found.shutdown(socket.SHUT_RDWR)
        if time.monotonic() - self._told >= _LOG_SECONDS:
            self._told = time.monotonic()
            _log.warning(
                "closed the connection of %s, whose caller reads no answers while others need the room; "
                "for a minute no other such line follows",
                peer,
            )
        return True

    def _find(self, peer: str) -> socket.socket | None:
        """A duplicate of the connection's socket."""
        address = _address(peer)
        if address is None:
            return None
        if (found := _duplicate(self._numbers.get(address, -1), address)) is not None:
            return found
        self._numbers = {}
        for number in _descriptors():
            if (found := _duplicate(number)) is not None:
                with found, suppress(OSError, TypeError, ValueError):  # not connected, or to no host
                    self._numbers[_of(found)] = number
        return _duplicate(self._numbers.get(address, -1), address)


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/dev/fd") if name.isdecimal()]


def _duplicate(number: int, address: _Address | None = None) -> socket.socket | None:
    """Another descriptor of the same socket; None where it is no socket, or one of another address."""
    try:
        duplicate = os.dup(number)
    except OSError:
        return None
    try:
        found = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        return None
    try:
        if address is None or _of(found) == address:
            return found
    except (OSError, TypeError, ValueError):
        pass
    found.close()
    return None


def _of(connected: socket.socket) -> _Address:
    host, port = connected.getpeername()[:2]
    return _plain(host), port


def _address(peer: str) -> _Address | None:
    """The address in a peer's name; None where it names none, such as a Unix socket's."""
    host, _, port = unquote(peer).removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")
    try:
        return _plain(host.strip("[]")), int(port)
    except ValueError:
        return None


def _plain(host: str) -> str:
    """An address in one spelling: IPv4 callers of a socket for both have an IPv6 address."""
    return host.partition("%")[0].removeprefix("::ffff:")
