"""Certificates of an authority of the tests' own."""

import socket
import ssl
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

Key: TypeAlias = "ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates.

    Args:
        folder: Where the files go; made if there is none.
        name: Of the authority.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / f"{name}.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        made = _builder(self._name, self._name, self._key, 365)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, days: float = 30, key: "Key | None" = None, units: Sequence[str] = (), since_days: float = 60
    ) -> Pair:
        """A certificate for localhost and 127.0.0.1; a negative number of days is one that has expired.

        Its subject has these organizational units beside the name. It has been valid for `since_days`.

        A second one of a name replaces the files of the first, one after the other, as a careless program would.
        Without a key it has a new one of ECDSA with P-256.
        """
        key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        made = _builder(_name(name, *units), self._name, key, days, since_days)
        made = made.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.cert.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


def shown_serial(address: str, mine: Pair | None = None) -> int:
    """The serial number of the certificate that a server shows to a new connection, which may have one of its own."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if mine is not None:
        context.load_cert_chain(mine.cert, mine.key)
    with (
        closing(socket.create_connection((host, int(port)), timeout=60)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return serial(ssl.DER_cert_to_PEM_cert(shown).encode())


def serial(pem: bytes) -> int:
    """The serial number of a certificate."""
    return x509.load_pem_x509_certificate(pem).serial_number


def ends(pem: bytes) -> float:
    """When a certificate ends, as Unix time."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def _name(text: str, *units: str) -> x509.Name:
    of_units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, each) for each in units]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text), *of_units])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, days: float, since_days: float = 60
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=since_days))
        .not_valid_after(now + timedelta(days=days))
    )
