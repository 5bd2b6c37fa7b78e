"""The look at a port that no connection could be made to."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.client import TLS, AsyncClient, Client, Unavailable
from service.client.access import PortLook
from service.client.errors import ClientError, NotConnected, from_status
from tests.kit.server.certificates import Authority
from tests.kit.waiting import wait_for

# The first byte of a TLS connection. A client in plain text begins so only to look.
_HELLO = b"\x16"


class _Port:
    """A port that resets each connection, or holds those that begin with TLS, and counts the latter."""

    def __init__(self, listener: socket.socket, holds: bool) -> None:
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self.looks = 0
        self._listener, self._holds = listener, holds
        self.held: list[socket.socket] = []

    def serve(self) -> None:
        """Until the listener is closed."""
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                is_look = connection.recv(1) == _HELLO
                self.looks += is_look
                if is_look and self._holds:
                    self.held.append(connection)
                    continue
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()


@contextmanager
def _port(number: int = 0, holds: bool = False) -> Iterator[_Port]:
    with socket.create_server(("127.0.0.1", number)) as listener:
        port = _Port(listener, holds)
        thread = threading.Thread(target=port.serve)
        thread.start()
        try:
            yield port
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in port.held:
                connection.close()


def test_an_outage_has_one_look() -> None:
    """However many calls fail, of both clients: a server that comes back gets few connections."""
    with _port() as port, Client(port.address, max_attempts=1) as client:
        for _ in range(6):
            with pytest.raises(Unavailable, match="no server"):
                client.models()
        assert port.looks == 1

    async def check(address: str) -> None:
        async with AsyncClient(address, max_attempts=1) as client:
            for _ in range(6):
                with pytest.raises(Unavailable, match="no server"):
                    await client.models()

    with _port() as port:
        asyncio.run(check(port.address))
        assert port.looks == 1


def test_there_is_no_look_after_an_answer() -> None:
    """The TLS of a server that has answered fits."""

    class Empty(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")

    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, [Empty()])
        number = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with Client(f"127.0.0.1:{number}", max_attempts=1) as client:
            assert client.models() == []
            server.stop(None).wait()
            with _port(number) as port:
                for _ in range(3):
                    with pytest.raises(Unavailable):
                        client.models()
                assert port.looks == 0


def test_a_look_ends_no_call_late() -> None:
    """A call waits for it only until its deadline, and without time there is none."""
    error = NotConnected("no server")
    error.is_reachable = True
    with _port(holds=True) as port:
        look = PortLook(port.address, None)
        assert look.explained(error, 0.0) is error
        assert not _looking()
        assert look.explained(error, 0.01) is error
        assert _looking()
        wait_for(lambda: port.looks)
        assert port.looks == 1
        wait_for(lambda: not _looking())


@contextmanager
def _hanging_up(authority: Authority) -> Iterator[int]:
    """The number of a port of 127.0.0.1 alone that speaks TLS, and hangs up after each handshake."""
    pair = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    context.set_alpn_protocols(["h2"])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    with suppress(ssl.SSLError, ConnectionError):
                        context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_port_that_hangs_up_may_have_other_reasons(tmp_path: Path) -> None:
    """A server without mTLS that stops after the handshake is not said to ask for a certificate."""
    authority = Authority(tmp_path)
    pair = authority.issue("caller")
    with _hanging_up(authority) as port:
        for tls in (TLS(authority.file), TLS(authority.file, pair.cert, pair.key)):
            with Client(f"127.0.0.1:{port}", tls=tls, max_attempts=1) as client, pytest.raises(Unavailable) as caught:
                client.models()
            assert "do not" not in str(caught.value)
            assert "stops, is full, or" in str(caught.value)


def test_the_dates_of_the_callers_certificate_explain_a_port_that_hangs_up(tmp_path: Path) -> None:
    """Servers of gRPC send no alert, so the client looks at its own certificate."""
    authority = Authority(tmp_path)
    pair = authority.issue("caller", days=-1)
    with _hanging_up(authority) as port:
        error = _told(f"127.0.0.1:{port}", TLS(authority.file, pair.cert, pair.key), "Socket closed")
        assert "the server does not accept the certificate of --cert, which expired on 20" in str(error)


@pytest.mark.parametrize("reason", ["Connection refused (111)", "recvmsg:Connection reset by peer (104)"])
def test_the_address_of_which_grpc_tells_does_not_matter(tmp_path: Path, reason: str) -> None:
    """Of localhost, which is ::1 too, where nobody listens, gRPC tells the error of either. A number has no other
    address, so there is no look.
    """
    authority = Authority(tmp_path)
    with _hanging_up(authority) as port:
        for tls, told in ((None, "the port speaks TLS, and the client plain text"), (TLS(authority.file), "hangs up")):
            assert told in str(_told(f"localhost:{port}", tls, reason))
        is_refused = "refused" in reason
        assert ("no server at" in str(_told(f"127.0.0.1:{port}", None, reason))) == is_refused
    assert "is kan-serve running?" in str(_told(f"localhost:{port}", None, reason))


def _told(address: str, tls: TLS | None, reason: str) -> ClientError:
    """What a client says where gRPC gives this reason."""
    details = f"failed to connect to all addresses; last error: UNKNOWN: ipv6:%5B::1%5D:1: Failed to connect: {reason}"
    error = from_status(grpc.StatusCode.UNAVAILABLE, details, address, 10)
    return PortLook(address, tls).explained(error, 60)


def _looking() -> bool:
    return any(thread.name == "look at a port" for thread in threading.enumerate())
