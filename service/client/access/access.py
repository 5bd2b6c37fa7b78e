"""How a client makes itself known: TLS, and a bearer token with each call."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

import grpc

from service.client.channel import Options, Target

# The token, or a function that gives it for each call: tokens may be replaced while a client lives.
TokenLike: TypeAlias = str | Callable[[], str]

Metadata: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TLS:
    """Encrypt the connection, and check who the server is. The files are PEM, and are read when the client is made.

    ca           certificates of the authorities that may have signed the server's; None trusts the public ones
    cert         the client's own certificate, for a server that asks for one (mTLS); `key` belongs to it
    key          its private key, without a password
    server_name  the name in the server's certificate, where that is another than in the address; for a list of
                 addresses, the name that all their certificates have
    """

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC takes.

        Raises:
            ValueError: when a file cannot be read, is no PEM, or certificate and key are no pair.
        """
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together, and only one of them is given")
        authorities = None if self.ca is None else _read(self.ca)
        if authorities is not None:
            _check_authorities(authorities, self.ca)
        if self.cert is None or self.key is None:
            return grpc.ssl_channel_credentials(authorities)
        _check_pair(self.cert, self.key)
        return grpc.ssl_channel_credentials(authorities, _read(self.key), _read(self.cert))

    def options(self) -> tuple[tuple[str, str], ...]:
        """Channel options."""
        return () if self.server_name is None else (("grpc.ssl_target_name_override", self.server_name),)


@dataclass(frozen=True)
class Access:
    """TLS and token of one client.

    tls            None connects in plain text
    token          None sends none
    checks_health  whether the channel asks servers for their health, where there are several or calls wait
    by_channel     whether the channel itself sends the token, with those questions too; gRPC does so only over TLS, and
                   it costs a call more than metadata
    """

    tls: TLS | None
    token: TokenLike | None = field(repr=False)
    checks_health: bool
    by_channel: bool

    @classmethod
    def of(cls, servers: Target, tls: TLS | None, token: TokenLike | None, wait_for_ready: bool) -> Self:
        """The access to these servers.

        Raises:
            ValueError: when `tls` is none, a file of it does not fit, or its name is missing, or the token cannot
                stand in a header.
        """
        if isinstance(token, str):
            _check(token)
        if not (tls is None or isinstance(tls, TLS)):
            raise ValueError(
                f"tls is {tls!r:.100}, wanted TLS(ca=...) with the file of the server's authority, or None"
            )
        if tls is not None:
            tls.credentials()
            if servers.uri.startswith("ipv") and tls.server_name is None:
                raise ValueError(
                    f"the addresses are {servers.address!r}: with TLS, server_name has to say which name the "
                    "certificates of all these servers have"
                )
        wants_health = servers.several or wait_for_ready
        return cls(tls, token, token is None or tls is not None, token is not None and tls is not None and wants_health)

    def metadata(self) -> Metadata | None:
        """What is sent with each call."""
        if self.token is None or self.by_channel:
            return None
        return (("authorization", f"Bearer {self.current()}"),)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """The channel's; None for plain text."""
        if self.tls is None:
            return None
        credentials = self.tls.credentials()
        if not self.by_channel:
            return credentials
        return grpc.composite_channel_credentials(credentials, grpc.metadata_call_credentials(_Sender(self), "kan"))

    def options(self) -> Options:
        """More channel options."""
        return () if self.tls is None else self.tls.options()

    def current(self) -> str:
        """The token of now."""
        return self.token if isinstance(self.token, str) else _check(self.token()) if self.token else ""


class _Sender(grpc.AuthMetadataPlugin):
    """Adds the token to what the channel sends."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:  # noqa: ARG002
        callback((("authorization", f"Bearer {self._access.current()}"),), None)


def _check(token: str) -> str:
    """The token; ValueError, which does not quote it, where it cannot stand in a header."""
    if token != token.rstrip("\r\n"):
        raise ValueError("the token ends with a line break, as a file with one does; wanted it without: text.strip()")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token is empty or has characters that no token has; wanted what kan-serve token printed")
    return token


def _read(file: str | Path) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{str(file)!r} cannot be read: {error.strerror or error}") from error


def _check_authorities(text: bytes, file: str | Path | None) -> None:
    """Refuse a file without a certificate: gRPC would trust every public authority in its place."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text.decode())
    except (OSError, ValueError):
        raise ValueError(f"{str(file)!r} holds no certificate of an authority; wanted PEM") from None


def _check_pair(cert: str | Path, key: str | Path) -> None:
    _read(cert)
    _read(key)

    def password() -> str:
        raise ValueError(f"{str(key)!r} is encrypted; wanted a key without a password")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password)
    except OSError as error:
        raise ValueError(
            f"{str(cert)!r} and {str(key)!r} are no certificate and its private key ({error}); wanted PEM"
        ) from None
