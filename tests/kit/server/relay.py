"""A relay between a client and a server. It sees all that passes, and ends connections in the middle of an answer, as a
killed server does.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.kit.callers.http2 import END_STREAM, HEADERS, connect


class Relay:
    """Passes on what clients and a server send.

    Args:
        server: Its address, as "host:port".
        is_plain: Whether they speak HTTP/2 in plain text: only then an answer can be cut.

    Attributes:
        address: The address for clients, as "host:port".
        cuts: Number of coming answers whose connection ends after their headers and before their data; 0 at first.
        seen: All bytes that have passed, those of clients and those of the server.
    """

    def __init__(self, server: str, *, is_plain: bool = True) -> None:
        self._server = server
        self._is_plain = is_plain
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self._turn = threading.Lock()
        self.cuts = 0
        self.seen = (bytearray(), bytearray())
        self.address = "127.0.0.1:{1}".format(*self._listener.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        for each in self._open:
            _end(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = connect(self._server)
                self._open += [client, server]
                threading.Thread(target=self._pass_requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_answers, args=(client, server), daemon=True).start()

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while received := client.recv(1 << 16):
                self.seen[0].extend(received)
                server.sendall(received)
        _end(server)

    def _pass_answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), server.makefile("rb") as answers:
            while not self._is_plain and (received := server.recv(1 << 16)):
                self.seen[1].extend(received)
                client.sendall(received)
            while len(head := answers.read(9)) == 9:
                received = head + answers.read(int.from_bytes(head[:3], "big"))
                self.seen[1].extend(received)
                client.sendall(received)
                if head[3] == HEADERS and not head[4] & END_STREAM and self._cut():
                    break
        _end(client)

    def _cut(self) -> bool:
        with self._turn:
            if not self.cuts:
                return False
            self.cuts -= 1
            return True


@contextmanager
def relayed(server: str, *, is_plain: bool = True) -> Iterator[Relay]:
    """A relay that ends with the block."""
    relay = Relay(server, is_plain=is_plain)
    try:
        yield relay
    finally:
        relay.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
