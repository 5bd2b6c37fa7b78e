"""HTTP/1.1 by hand, for callers that no library plays: those whose request never ends (RFC 9112)."""

import re
import socket
from contextlib import suppress


def read_answer(connection: socket.socket, seconds: float = 60) -> bytes:
    """The whole answer on a connection, however many pieces it comes in, or what came before the connection ended."""
    connection.settimeout(seconds)
    received = b""
    with suppress(ConnectionError):
        while not _is_whole(received) and (piece := connection.recv(2**16)):
            received += piece
    return received


def _is_whole(received: bytes) -> bool:
    """Whether the body is there, by its length or by its last chunk (sections 6.2 and 7.1)."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    if length := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
        return len(body) >= int(length[1])
    return re.search(rb"(?:^|\r\n)0\r\n(?:.+\r\n)*\r\n$", body) is not None
