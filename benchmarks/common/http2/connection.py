"""One connection: its frames and their flow control."""

import struct
from collections import deque

from benchmarks.common.http2.headers import header_blocks
from benchmarks.common.http2.security import PLAIN, Security, tls_of

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME = struct.Struct(">HBBBL")
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8
# Names of settings.
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _MAX_STREAMS, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 2, 3, 4, 5
_DEFAULT_WINDOW_BYTES = 65535
_MOST_WINDOW_BYTES = 2**31 - 1
_RENEW_BYTES = 2**24
_PREFIX_BYTES = 5
_READ_BYTES = 2**18


class Connection:
    """One connection, for calls of one method: many unary calls, or one stream of requests.

    Nothing is sent before :meth:`flush`. A stream can receive at most 2 GB of answers: its window is never renewed.

    Args:
        address: "host:port".
        path: Full gRPC path, "/package.Service/Method".
        security: TLS and a token; by default neither.

    Raises:
        OSError: no server listens there, or the handshake failed.
        ValueError: the server sent something that this client does not support.
    """

    def __init__(self, address: str, path: str, security: Security = PLAIN) -> None:
        self._socket = security.open_socket(address)
        self._headers, self._next_headers = header_blocks(path, address, security)
        self._next_stream = 1
        self._calls: dict[int, int] = {}  # stream -> tag
        self._parts: dict[int, bytes] = {}  # stream -> bytes received so far
        self._conversation = 0  # number of the stream of requests, 0: there is none
        self._window = _DEFAULT_WINDOW_BYTES
        self._stream_window = 0  # of the stream of requests
        self._initial_window = _DEFAULT_WINDOW_BYTES
        self._max_streams = _MOST_WINDOW_BYTES
        self._max_frame_bytes = 16384
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._unrenewed_bytes = 0
        self._rest = b""
        self._ready = False
        settings = struct.pack(">HLHL", _ENABLE_PUSH, 0, _INITIAL_WINDOW_SIZE, _MOST_WINDOW_BYTES)
        wider = (_MOST_WINDOW_BYTES - _DEFAULT_WINDOW_BYTES).to_bytes(4, "big")
        self._out = [_PREFACE, _frame(_SETTINGS, 0, 0, settings), _frame(_WINDOW_UPDATE, 0, 0, wider)]
        try:
            self.flush()
            while not self._ready:
                self.receive()
            self.flush()
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """The socket's file descriptor, for select."""
        return self._socket.fileno()

    @property
    def tls(self) -> str:
        """The version of TLS and the cipher, as agreed with the server; "" without TLS."""
        return tls_of(self._socket)

    def close(self) -> None:
        """Close the connection; open calls end."""
        self._socket.close()

    def call(self, tag: int, message: bytes) -> None:
        """Make a unary call; its answer has the same tag. The call waits here while the server's window is full."""
        if len(message) + _PREFIX_BYTES > min(self._initial_window, self._max_frame_bytes):
            raise ValueError(f"the message has {len(message)} bytes; wanted what fits one frame and a new window")
        if self._waiting or not self._call(tag, message):
            self._waiting.append((tag, message))

    def open_stream(self) -> None:
        """Open the stream of requests."""
        self._conversation = self._open(0)
        self._stream_window = self._initial_window

    def send(self, message: bytes) -> None:
        """Send a message on the stream of requests; it waits here while the server's windows are full."""
        if self._waiting or not self._send(message):
            self._waiting.append((0, message))

    def flush(self) -> None:
        """Write all pending bytes to the socket at once."""
        if self._out:
            self._socket.sendall(b"".join(self._out))
            self._out.clear()

    def receive(self) -> list[tuple[int, bytes]]:
        """Read once and return the complete answers: (tag of the call, message); tag 0 for the stream."""
        came = self._socket.recv(_READ_BYTES)
        if not came:
            raise ValueError("the server closed the connection")
        data = self._rest + came
        answers: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        while end - position >= _FRAME.size:
            high, low, kind, flags, stream = _FRAME.unpack_from(data, position)
            start = position + _FRAME.size
            stop = start + (high << 8 | low)
            if stop > end:
                break
            position = stop
            if kind == _DATA:
                self._data(stream, flags, data[start:stop], answers)
            elif kind == _HEADERS:
                if flags & _PADDED or not flags & _END_HEADERS:
                    raise ValueError("the server's headers are padded or continue in another frame; wanted one frame")
                if flags & _END_STREAM:
                    self._end(stream, answers)
            else:
                self._control(kind, flags, stream, data[start:stop])
        self._rest = data[position:]
        return answers

    def _open(self, tag: int) -> int:
        if len(self._calls) >= self._max_streams:
            raise ValueError(f"the server accepts {self._max_streams} calls at once per connection; wanted one more")
        stream = self._next_stream
        self._next_stream += 2
        self._calls[stream] = tag
        self._out.append(_frame(_HEADERS, _END_HEADERS, stream, self._headers))
        self._headers = self._next_headers
        return stream

    def _call(self, tag: int, message: bytes) -> bool:
        size = len(message) + _PREFIX_BYTES
        if size > self._window:
            return False
        self._window -= size
        self._out.append(_message_frame(self._open(tag), _END_STREAM, message))
        return True

    def _send(self, message: bytes) -> bool:
        size = len(message) + _PREFIX_BYTES
        if size > min(self._window, self._stream_window):
            return False
        self._window -= size
        self._stream_window -= size
        self._out.append(_message_frame(self._conversation, 0, message))
        return True

    def _data(self, stream: int, flags: int, payload: bytes, answers: list[tuple[int, bytes]]) -> None:
        if flags & _PADDED:
            raise ValueError("the server's data are padded")
        self._unrenewed_bytes += len(payload)
        if self._unrenewed_bytes > _RENEW_BYTES:
            self._out.append(_frame(_WINDOW_UPDATE, 0, 0, self._unrenewed_bytes.to_bytes(4, "big")))
            self._unrenewed_bytes = 0
        payload = self._parts.get(stream, b"") + payload
        self._parts[stream] = self._whole(payload, answers) if stream == self._conversation else payload
        if flags & _END_STREAM:
            self._end(stream, answers)

    def _whole(self, payload: bytes, answers: list[tuple[int, bytes]]) -> bytes:
        """Append the whole messages of the stream to `answers`; return the bytes after them."""
        position = 0
        while len(payload) - position >= _PREFIX_BYTES:
            stop = position + _PREFIX_BYTES + int.from_bytes(payload[position + 1 : position + _PREFIX_BYTES], "big")
            if stop > len(payload):
                break
            answers.append((0, payload[position + _PREFIX_BYTES : stop]))
            position = stop
        return payload[position:]

    def _end(self, stream: int, answers: list[tuple[int, bytes]]) -> None:
        if stream == self._conversation:
            raise ValueError("the server ended the stream of requests")
        tag, payload = self._calls.pop(stream), self._parts.pop(stream, b"")
        if not payload:
            raise ValueError("a call was answered without a message: its status is not OK")
        size = len(payload) - _PREFIX_BYTES
        if payload[:_PREFIX_BYTES] != b"\0" + size.to_bytes(4, "big"):
            raise ValueError(f"the {len(payload)} bytes of an answer are not one whole message, not compressed")
        answers.append((tag, payload[_PREFIX_BYTES:]))

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW_UPDATE:
            self._widen(stream, int.from_bytes(payload, "big"))
        elif kind in (_PING, _SETTINGS) and flags & _ACK:
            pass
        elif kind == _PING:
            self._out.append(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS:
            self._settings(payload)
        elif kind != _RST_STREAM or stream in self._calls:  # Else the call has its answer already.
            what = {_RST_STREAM: "reset a call", _GOAWAY: "is closing the connection"}.get(kind, f"sent frame {kind}")
            raise ValueError(f"the server {what}")

    def _widen(self, stream: int, size: int) -> None:
        if stream == 0:
            self._window += size
        elif stream == self._conversation:
            self._stream_window += size
        while self._waiting:
            tag, message = self._waiting[0]
            if not (self._send(message) if self._conversation else self._call(tag, message)):
                break
            self._waiting.popleft()

    def _settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HL", payload):
            if name == _HEADER_TABLE_SIZE and value < 4096:
                raise ValueError(f"the server keeps {value} bytes of headers; wanted 4096, the default")
            if name == _INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._initial_window
                self._initial_window = value
            elif name == _MAX_STREAMS:
                self._max_streams = value
            elif name == _MAX_FRAME_SIZE:
                self._max_frame_bytes = value
        self._ready = True
        self._out.append(_frame(_SETTINGS, _ACK, 0, b""))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def _message_frame(stream: int, flags: int, message: bytes) -> bytes:
    return _frame(_DATA, flags, stream, b"\0" + len(message).to_bytes(4, "big") + message)
