"""What kan-serve and the server inside Envoy tell each other: JSON objects, one a line, over a socket pair.

To the server: {"port": where Envoy listens}, {"stop": true}, {"at_once": true}. From it: {"ready": line for scripts},
{"failed": why it cannot start}, {"stopped": true}.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

# What the server inside Envoy finds in its environment.
FD_VARIABLE = "KAN_SERVE_CONTROL_FD"
SETTINGS_VARIABLE = "KAN_SERVE_SETTINGS"
# The folder that kan-serve made for this Envoy: whoever of the two outlives the other removes it.
FOLDER_VARIABLE = "KAN_SERVE_FOLDER"

# The line that says ready names every model.
_LONGEST_LINE_BYTES = 2**24


class Control:
    """One end of the line. Made by :meth:`on_socket` or :meth:`on_descriptor`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def on_socket(cls, end: socket.socket) -> "Control":
        """The end that this socket is; takes the socket over."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_LONGEST_LINE_BYTES))

    @classmethod
    async def on_descriptor(cls, descriptor: int) -> "Control":
        """The end that was passed as a file descriptor."""
        return await cls.on_socket(socket.socket(fileno=descriptor))

    def send(self, **message: Any) -> None:
        """Send one message; lost in silence where the other end has gone."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

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
