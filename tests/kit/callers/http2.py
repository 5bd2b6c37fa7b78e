"""HTTP/2 by hand, for callers that no library plays: those that stop in the middle, or never read (RFC 9113)."""

import socket
import struct
from collections.abc import Iterator

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame (section 4.1)."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def frames(received: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, stream and payload of each frame that is whole."""
    while len(received) >= 9:
        end = 9 + int.from_bytes(received[:3], "big")
        if end > len(received):
            return
        yield received[3], int.from_bytes(received[5:9], "big"), received[9:end]
        received = received[end:]


def hello(initial_window_bytes: int | None = None) -> bytes:
    """How a client begins: the preface, and settings that are empty but for the window of a stream."""
    settings = b"" if initial_window_bytes is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, initial_window_bytes)
    return PREFACE + frame(SETTINGS, 0, 0, settings)


def call(path: str, stream: int = 1, **more: str) -> bytes:
    """The headers that begin a gRPC call, as literals without indexing (RFC 7541, section 6.2.2); `more` in Latin-1."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
    fields |= {"content-type": "application/grpc", "te": "trailers"}
    fields |= more
    texts = [text.encode("latin-1") for field in fields.items() for text in field]
    pairs = zip(texts[::2], texts[1::2], strict=True)
    block = b"".join(b"\0" + b"".join(bytes([len(text)]) + text for text in pair) for pair in pairs)
    return frame(HEADERS, END_HEADERS, stream, block)


def message(payload: bytes) -> bytes:
    """A gRPC message, uncompressed."""
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def window(increment: int, stream: int = 0) -> bytes:
    """Lets the other side send so many bytes more; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def connect(address: str, seconds: float = 60) -> socket.socket:
    """A TCP connection to "host:port"."""
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), seconds)


def ask_and_do_not_read(
    address: str, path: str, request: bytes, calls: int, initial_window_bytes: int
) -> socket.socket:
    """A connection with so many whole calls, whose answers nobody reads; streams have a window of so many bytes."""
    connection = connect(address)
    connection.sendall(hello(initial_window_bytes))
    for stream in range(1, 2 * calls, 2):
        connection.sendall(call(path, stream) + frame(DATA, END_STREAM, stream, message(request)))
    return connection
