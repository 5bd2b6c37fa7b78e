"""What kan-serve and the server inside Envoy tell each other: JSON objects, one a line, over a socket pair.

To the server: {"port": where Envoy listens}, {"stop": when that was asked for, on time.monotonic's clock}, {"at_once":
true}, {"reload": true}, which has it read the settings file again, {"why": true}, which asks where it hangs. From it:
{"ready": line for scripts}, {"failed": why it cannot start}, {"stopped": true}, {"hangs": where}.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

# What the server inside Envoy finds in its environment.
FD_VARIABLE = "KAN_SERVE_CONTROL_FD"
SETTINGS_VARIABLE = "KAN_SERVE_SETTINGS"
# With a settings file: [the flags, the file], from which it reads the settings again.
SOURCES_VARIABLE = "KAN_SERVE_SOURCES"
# The folder that kan-serve made for this Envoy: whoever of the two outlives the other removes it.
FOLDER_VARIABLE = "KAN_SERVE_FOLDER"

# The line that says ready names every model; three files of certificates take 4 MiB each, in base64.
_LONGEST_LINE_BYTES = 2**25


class Control:
    """The end of kan-serve, on an event loop. Made by :meth:`on_socket`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def on_socket(cls, end: socket.socket) -> "Control":
        """The end that this socket is; takes the socket over."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_LONGEST_LINE_BYTES))

    def send(self, **message: Any) -> None:
        """Send one message; lost in silence where the other end has gone."""
        if not self._writer.is_closing():
            self._writer.write(_line(message))

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What the other end sends, until it has gone."""
        try:
            async for line in self._reader:
                yield json.loads(line)
        except ConnectionError:
            return

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class BlockingControl:
    """The end inside Envoy: orders are read in a thread, so that they come while the event loop is blocked.

    Args:
        end: The socket; this takes it over.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(True)
        self._socket = end
        self._file = end.makefile("rb")

    def send(self, **message: Any) -> None:
        """Send one message; lost in silence where the other end has gone."""
        with suppress(OSError):
            self._socket.sendall(_line(message))

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the other end sends, until it has gone."""
        with suppress(ConnectionError):
            for line in self._file:
                yield json.loads(line)


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
