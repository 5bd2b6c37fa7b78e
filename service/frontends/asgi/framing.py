"""gRPC on HTTP/2 as bytes and headers: frames, compression, deadlines, status.

Source: "gRPC over HTTP2" (PROTOCOL-HTTP2.md of the grpc project).
"""

import zlib
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from service.rpc.status import Code, RpcError, Unreadable

# What may stand in grpc-message as it is: printable ASCII but the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_PREFIX_BYTES = 5
_SMALL_PIECE_BYTES = 1024
_GATHERED_BYTES = 16 * 1024
_UNIT_SECONDS: Mapping[bytes, float] = {b"H": 3600, b"M": 60, b"S": 1, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_LONGEST_TIMEOUT_DIGITS = 8
# zlib's window sizes: 16 more asks for gzip's header.
_WINDOW_BITS: Mapping[str, int] = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
ENCODINGS = ("identity", *_WINDOW_BITS)


class Deframer:
    """Takes a body in pieces and gives the messages in it. Its work grows with the bytes, however small the pieces.

    Args:
        max_message_bytes: Longest message; also once it is decompressed.
        encoding: The call's grpc-encoding.
    """

    def __init__(self, max_message_bytes: int, encoding: str = "identity") -> None:
        self._max_message_bytes = max_message_bytes
        self._encoding = encoding
        self._pieces: list[bytes | bytearray] = []  # of the message that is not complete, from its prefix on
        self._held_bytes = 0
        self._wanted_bytes = 0  # fewer are not worth a look
        self._fault: tuple[Code, str] | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """The messages that are complete with this piece, oldest first, up to the first one that cannot be read.

        After they have been handed on, :meth:`check` tells of that one. Nothing may be fed after it.
        """
        buffer = piece
        if self._pieces:
            self._hold(piece)
            if self._held_bytes < self._wanted_bytes:
                return []
            buffer = b"".join(self._pieces)
            self._pieces.clear()
            self._held_bytes = 0
        messages: list[bytes] = []
        start, wanted_bytes = 0, _PREFIX_BYTES
        while len(buffer) - start >= _PREFIX_BYTES:
            length = int.from_bytes(buffer[start + 1 : start + _PREFIX_BYTES], "big")
            if length > self._max_message_bytes:
                self._fault = _too_long(length, self._max_message_bytes)
                return messages
            end = start + _PREFIX_BYTES + length
            if len(buffer) < end:
                wanted_bytes = end - start
                break
            content = buffer[start + _PREFIX_BYTES : end]
            message = self._decompressed(content) if buffer[start] else content
            if message is None:
                return messages
            messages.append(message)
            start = end
        if start < len(buffer):
            self._hold(buffer[start:])
            self._wanted_bytes = wanted_bytes
        return messages

    def check(self) -> None:
        """Do nothing if every message so far could be read.

        Raises:
            Unreadable: RESOURCE_EXHAUSTED for a message that is too long, INVALID_ARGUMENT for one that does not
                decompress, UNIMPLEMENTED for a compression that is unknown.
        """
        if self._fault is not None:
            raise Unreadable(*self._fault)

    @property
    def held_bytes(self) -> int:
        """Bytes of the message that is not complete."""
        return self._held_bytes

    @property
    def empty(self) -> bool:
        """True between messages."""
        return not self._pieces

    def _hold(self, piece: bytes) -> None:
        """Keep a piece; small ones together, since each object takes 40 bytes more than it holds."""
        self._held_bytes += len(piece)
        if len(piece) >= _SMALL_PIECE_BYTES:
            self._pieces.append(piece)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray) and len(last) < _GATHERED_BYTES:
            last += piece
        else:
            self._pieces.append(bytearray(piece))

    def _decompressed(self, packed: bytes) -> bytes | None:
        """A message without its compression; None, and the fault is kept, if it cannot be read."""
        if self._encoding not in _WINDOW_BITS:
            self._fault = (
                Code.UNIMPLEMENTED,
                f"a message is compressed and grpc-encoding is {self._encoding!r}; wanted one of {list(_WINDOW_BITS)}",
            )
            return None
        # Never more than the bound: a few bytes can stand for gigabytes.
        inflate = zlib.decompressobj(_WINDOW_BITS[self._encoding])
        try:
            plain = inflate.decompress(packed, self._max_message_bytes + 1)
        except zlib.error as error:
            self._fault = Code.INVALID_ARGUMENT, f"a message is no {self._encoding}: {error}"
            return None
        if len(plain) > self._max_message_bytes:
            self._fault = _too_long(len(plain), self._max_message_bytes)
            return None
        if not inflate.eof:
            self._fault = Code.INVALID_ARGUMENT, f"a message in {self._encoding} is cut short"
            return None
        return plain


def frame(message: bytes, encoding: str = "identity") -> bytes:
    """A message with the prefix that says how long it is, compressed where that makes it shorter."""
    if encoding in _WINDOW_BITS:
        deflate = zlib.compressobj(wbits=_WINDOW_BITS[encoding])
        packed = deflate.compress(message) + deflate.flush()
        if len(packed) < len(message):
            return b"\1" + len(packed).to_bytes(4, "big") + packed
    return b"\0" + len(message).to_bytes(4, "big") + message


def timeout_seconds(value: bytes) -> float:
    """What a grpc-timeout header says.

    Raises:
        RpcError: INVALID_ARGUMENT: it says nothing.
    """
    digits, unit = value[:-1], value[-1:]
    if unit not in _UNIT_SECONDS or not digits.isdigit() or len(digits) > _LONGEST_TIMEOUT_DIGITS:
        raise RpcError(
            Code.INVALID_ARGUMENT,
            f"grpc-timeout is {value.decode('latin-1')!r}; wanted 1 to {_LONGEST_TIMEOUT_DIGITS} digits "
            "and one of H, M, S, m, u, n",
        )
    return int(digits) * _UNIT_SECONDS[unit]


def status_headers(error: RpcError) -> list[tuple[bytes, bytes]]:
    """The headers, trailing or not, that end a call with this error."""
    headers = [
        (b"grpc-status", str(int(error.code)).encode()),
        (b"grpc-message", quote(error.message, _PLAIN, errors="replace").encode()),
    ]
    return headers + [(name.encode(), value.encode()) for name, value in error.trailers()]


def accepted_encoding(offered: bytes, wanted: Iterable[str]) -> str:
    """The first wanted compression that a caller's grpc-accept-encoding offers; else "identity"."""
    names = {name.strip() for name in offered.decode("latin-1").split(",")}
    return next((name for name in wanted if name in names), "identity")


def _too_long(length: int, max_message_bytes: int) -> tuple[Code, str]:
    # gRPC's own words and code for it.
    return (
        Code.RESOURCE_EXHAUSTED,
        f"Received message larger than max ({length} vs. {max_message_bytes}); max_message_bytes",
    )
