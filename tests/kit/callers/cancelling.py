"""A caller who cancels thousands of calls, and the health over the same connection afterwards."""

import socket
import struct

from tests.kit.callers import http2

_CANCEL = struct.pack(">I", 8)  # RFC 9113, section 7
_ACK = 1  # sections 6.5 and 6.7
_CHECK = "/grpc.health.v1.Health/Check"
SERVING = http2.message(b"\x08\x01")


def cancel_calls(connection: socket.socket, path: str, calls: int, together: int = 1, **more: str) -> int:
    """Begin a connection, then begin calls on it and reset them, so many at a time. Gives the next stream.

    Keywords are more headers of each call.
    """
    connection.sendall(http2.hello())
    for first in range(1, 2 * calls, 2 * together):
        streams = range(first, first + 2 * together, 2)
        begun = b"".join(http2.call(path, stream, **more) for stream in streams)
        connection.sendall(begun + b"".join(http2.frame(http2.RESET, 0, stream, _CANCEL) for stream in streams))
    return 2 * calls + 1


def check_health(connection: socket.socket, stream: int, **more: str) -> bytes:
    """The health over this connection. A call that is refused is repeated, as by gRPC's clients.

    Keywords are more headers.
    """
    asked = http2.frame(http2.DATA, http2.END_STREAM, stream, http2.message(b""))
    connection.sendall(http2.call(_CHECK, stream, **more) + asked)
    with connection.makefile("rb") as incoming:
        while header := incoming.read(9):
            high, low, kind, flags, of = struct.unpack(">HBBBL", header)
            payload = incoming.read(high << 8 | low)
            assert kind != http2.GOAWAY, payload
            if kind in (http2.PING, http2.SETTINGS) and not flags & _ACK:
                connection.sendall(http2.frame(kind, _ACK, 0, payload if kind == http2.PING else b""))
            elif of == stream and kind == http2.DATA:
                return payload
            elif of == stream and kind == http2.RESET:
                return check_health(connection, stream + 2, **more)
    raise AssertionError("the server closed the connection")
