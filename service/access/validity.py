"""When a certificate is valid, read from its DER: Python's `ssl` tells it only of peers and authorities."""

import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_CERTIFICATE: Final = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END", re.DOTALL)
# Tags of DER. Source: ITU-T X.690, section 8, and RFC 5280, section 4.1.
_VERSION, _SHORT_TIME, _LONG_TIME = 0xA0, 0x17, 0x18
_SHOWN: Final = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True)
class Validity:
    """When a certificate is valid: from `begins` to `ends`, both included."""

    begins: datetime
    ends: datetime

    def ends_at(self) -> str:
        """The end, for people."""
        return self.ends.strftime(_SHOWN)

    def fault(self, now: datetime | None = None) -> str:
        """Why a certificate is not valid, for example "expired on 2027-01-31 00:00:00 UTC"; "" if it is.

        Args:
            now: The time to judge by; None: the present.
        """
        now = now or datetime.now(UTC)
        if now > self.ends:
            return f"expired on {self.ends_at()}"
        if now < self.begins:
            return f"is valid only from {self.begins.strftime(_SHOWN)} on"
        return ""


def first_certificate(pem: bytes) -> bytes | None:
    """The first certificate of a PEM file, in DER: the server's own, or the caller's. None if there is none."""
    found = _CERTIFICATE.search(pem)
    return None if found is None else binascii.a2b_base64(found[1])


def read_validity(der: bytes) -> Validity:
    """When a certificate is valid.

    Args:
        der: The certificate.

    Raises:
        ValueError: It is no certificate, or its times are not as RFC 5280 has them.
    """
    try:
        at = _content(der, _content(der, 0))
        if der[at] == _VERSION:
            at = _end(der, at)
        for _ in range(3):  # serial number, algorithm of the signature, issuer
            at = _end(der, at)
        begins = _content(der, at)
        ends = _end(der, begins)
        return Validity(_time(der, begins), _time(der, ends))
    except IndexError:
        raise ValueError("the certificate is cut off") from None


def _content(der: bytes, at: int) -> int:
    """Where the content of the element at this place begins."""
    return at + 2 + (der[at + 1] & 0x7F if der[at + 1] & 0x80 else 0)


def _end(der: bytes, at: int) -> int:
    """Where the element at this place ends, and the next begins."""
    content = _content(der, at)
    return content + (int.from_bytes(der[at + 2 : content]) if content > at + 2 else der[at + 1])


def _time(der: bytes, at: int) -> datetime:
    text = der[_content(der, at) : _end(der, at)].decode("ascii")
    if der[at] == _SHORT_TIME:  # of two digits, 50 is 1950 and 49 is 2049
        text = ("19" if text >= "50" else "20") + text
    elif der[at] != _LONG_TIME:
        raise ValueError("the certificate has no time where its validity stands")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
