"""The certificate of the gRPC port, and the authorities of callers' certificates. Taken anew when they change."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.access.reloaded import ReloadedFiles
from service.errors import StartupError
from service.settings import Settings


@dataclass(frozen=True)
class Certificates:
    """What TLS needs, in PEM.

    Attributes:
        chain: The server's certificate and those between it and its authority.
        key: Its private key.
        client_ca: Authorities of callers' certificates, which every caller then needs; None without.
    """

    chain: bytes
    key: bytes
    client_ca: bytes | None


def read_certificates(settings: Settings) -> ReloadedFiles[Certificates] | None:
    """The certificates that the settings name, to be watched; None without TLS.

    Raises:
        StartupError: A file cannot be read, or they do not fit together.
    """
    if not settings.tls_cert:
        return None
    files = [Path(each) for each in (settings.tls_cert, settings.tls_key, settings.tls_client_ca) if each]

    def parse(found: Sequence[bytes]) -> Certificates:
        _check_pair(files[0], files[1])
        if [file.read_bytes() for file in files] != found:
            raise StartupError("they changed while they were read")
        if len(found) > 2:
            _check_authorities(found[2], files[2])
        return Certificates(found[0], found[1], found[2] if len(found) > 2 else None)

    return ReloadedFiles("certificates", files, parse)


def _check_pair(chain: Path, key: Path) -> None:
    """Refuse a certificate and a key of which no TLS server could be made."""

    def password() -> str:
        raise StartupError(
            f"{str(key)!r} is encrypted; wanted a key without a password, which only the server may read"
        )

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password)
    except OSError as error:  # SSLError too
        reason = getattr(error, "reason", None) or error.strerror or error
        raise StartupError(
            f"the certificate and the key are no pair that TLS can use ({reason}); wanted PEM, the server's own "
            "certificate first"
        ) from None


def _check_authorities(text: bytes, file: Path) -> None:
    """Refuse a file without a certificate: gRPC would trust every public authority in its place."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=text.decode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise StartupError(f"{str(file)!r} holds no certificate of an authority ({reason}); wanted PEM") from None
    if not context.cert_store_stats()["x509"]:
        raise StartupError(f"{str(file)!r} holds no certificate of an authority; wanted PEM")
