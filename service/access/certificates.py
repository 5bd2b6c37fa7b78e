"""The certificate of the gRPC port, and the authorities of callers' certificates. Taken anew when they change."""

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.access.reloaded import LastValid, ReloadedFiles
from service.access.validity import Validity, first_certificate, read_validity
from service.errors import StartupError
from service.settings import Settings

_log = logging.getLogger(__name__)

# The algorithm of a public key in a certificate, in DER: RSA, and ECDSA with P-256, P-384, P-521. Source: RFC 3279,
# section 2.3.1, and RFC 5480, section 2.1.1.
_KINDS = tuple(
    map(
        bytes.fromhex,
        (
            "300d06092a864886f70d0101010500",
            "301306072a8648ce3d020106082a8648ce3d030107",
            "301006072a8648ce3d020106052b81040022",
            "301006072a8648ce3d020106052b81040023",
        ),
    )
)


@dataclass(frozen=True)
class Certificates:
    """What TLS needs, in PEM.

    Attributes:
        chain: The server's certificate and those between it and its authority.
        key: Its private key.
        client_ca: Authorities of callers' certificates, which every caller then needs; None without.
        validity: When the server's certificate is valid.
    """

    chain: bytes
    key: bytes
    client_ca: bytes | None
    validity: Validity


def read_certificates(settings: Settings, start: LastValid | None = None) -> ReloadedFiles[Certificates] | None:
    """The certificates that the settings name, to be watched; None without TLS.

    Args:
        settings: Name the files.
        start: What other processes of this server know of the files.

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
        _check_kind(found[0])
        if len(found) > 2:
            check_authorities(found[2], files[2])
        return certificates_of(found)

    return ReloadedFiles("certificates", files, parse, start, certificates_of, _follow)


def in_place_of_files(settings: Settings, last_valid: Certificates | None) -> Certificates | None:
    """What an Envoy starts with in the place of the files: `last_valid` if they are invalid, or hold a certificate that
    may not follow it; None if they are valid.

    Raises:
        StartupError: They are invalid, and there is nothing in their place.
    """
    try:
        found = read_certificates(settings)
        if found is not None and last_valid is not None:
            _refuse_worse(last_valid, found.value)
    except StartupError:
        if last_valid is None:
            raise
        return last_valid
    return None


def certificates_of(found: Sequence[bytes]) -> Certificates:
    """The certificates in the bytes of their files, which are valid.

    Raises:
        StartupError: Nobody can tell when the server's certificate is valid.
    """
    try:
        validity = read_validity(first_certificate(found[0]) or b"")
    except ValueError as error:
        raise StartupError(
            f"nobody can tell when the certificate is valid: {error}; wanted dates of RFC 5280"
        ) from None
    return Certificates(found[0], found[1], found[2] if len(found) > 2 else None, validity)


def warn_if_refused(certificates: Certificates) -> None:
    """Log a warning if callers refuse the server's certificate by its dates."""
    if warning := refusal_by_callers(certificates):
        _log.warning("%s", warning)


def refusal_by_callers(certificates: Certificates, now: datetime | None = None) -> str:
    """Why callers refuse the server's certificate by its dates; "" if they do not.

    Args:
        certificates: The certificates.
        now: The time to judge by; None: the present.
    """
    fault = certificates.validity.fault(now)
    return fault and f"the certificate of the gRPC port {fault}: callers refuse it; renew it (docs/security.md)"


def _follow(old: Certificates, new: Certificates) -> None:
    _refuse_worse(old, new)
    warn_if_refused(new)


def _refuse_worse(old: Certificates, new: Certificates) -> None:
    """Refuse a certificate that is not valid now in the place of one that is."""
    if (fault := new.validity.fault()) and not old.validity.fault():
        raise StartupError(f"the certificate {fault}, so callers would refuse it; wanted one that is valid now")


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
        if isinstance(error, ssl.SSLError) and first_certificate(chain.read_bytes()) is None:
            reason = f"{str(chain)!r} holds no certificate"
        raise StartupError(
            f"the certificate and the key are no pair that TLS can use ({reason}); wanted PEM, the server's own "
            "certificate first"
        ) from None


def _check_kind(chain: bytes) -> None:
    """Refuse a key that OpenSSL, which Python asks, can use and BoringSSL, which gRPC and Envoy use, cannot."""
    first = first_certificate(chain)
    if first is None or not any(kind in first for kind in _KINDS):
        raise StartupError(
            "the certificate has a key of a kind that TLS cannot use here; wanted RSA, or ECDSA with P-256, P-384 or "
            "P-521"
        )


def check_authorities(text: bytes, file: Path) -> None:
    """Refuse a file without a certificate: gRPC would trust every public authority in its place.

    Args:
        text: The content of the file.
        file: Its path, for messages.

    Raises:
        StartupError: It holds no certificate in PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=text.decode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise StartupError(f"{str(file)!r} holds no certificate of an authority ({reason}); wanted PEM") from None
    if not context.cert_store_stats()["x509"]:
        raise StartupError(f"{str(file)!r} holds no certificate of an authority; wanted PEM")
