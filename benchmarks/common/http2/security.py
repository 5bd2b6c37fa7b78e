"""How a caller protects its calls, for this client and for grpc's own."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Security:
    """TLS and a token; by default neither.

    Attributes:
        ca: PEM file of the server's authority; None for plain text.
        cert: PEM file of the caller's certificate, for mTLS.
        key: PEM file of its key.
        token: Sent with each call as a bearer token; "" for none.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call says of its sender."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def open_socket(self, address: str) -> socket.socket:
        """A new connection, after its handshake.

        Args:
            address: "host:port".

        Raises:
            OSError: No server listens there, or the handshake failed.
            ValueError: The server speaks no HTTP/2 over TLS.
        """
        host, _, port = address.rpartition(":")
        plain = socket.create_connection((host, int(port)), _TIMEOUT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.ca is None:
            return plain
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols(["h2"])
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        secure = context.wrap_socket(plain, server_hostname=host)  # closes the plain one if it fails
        if secure.selected_alpn_protocol() != "h2":
            secure.close()
            raise ValueError(f"the server chose the protocol {secure.selected_alpn_protocol()!r}; wanted h2")
        return secure

    def channel(self, address: str, *options: tuple[str, int]) -> grpc.Channel:
        """A connection of grpc's own client."""
        if self.ca is None:
            return grpc.insecure_channel(address, options)
        key, cert = (None if file is None else file.read_bytes() for file in (self.key, self.cert))
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(self.ca.read_bytes(), key, cert), options)


PLAIN = Security()


def tls_of(connected: socket.socket) -> str:
    """The version of TLS and the cipher, as agreed with the server; "" without TLS."""
    if not isinstance(connected, ssl.SSLSocket):
        return ""
    cipher = connected.cipher()
    return f"{connected.version()} {cipher[0] if cipher else ''}"
