"""When a certificate is valid, read from its DER."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.access.validity import Validity, first_certificate, read_validity

_KEY = ec.generate_private_key(ec.SECP256R1())
_TIMES = st.datetimes(datetime(1950, 1, 1), datetime(9999, 12, 31, 23, 59, 59)).map(
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)
_EDGE = datetime(2050, 1, 1, tzinfo=UTC)  # from here on times have years of four digits
_SECOND = timedelta(seconds=1)


def _certificate(begins: datetime, ends: datetime, name: str) -> x509.Certificate:
    issuer = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, name)] * 9)
    builder = x509.CertificateBuilder().subject_name(issuer).issuer_name(issuer).public_key(_KEY.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
    return builder.sign(_KEY, hashes.SHA256())


@settings(max_examples=50, deadline=None)
@example(_EDGE - _SECOND, _EDGE, "a")
@given(_TIMES, _TIMES, st.sampled_from(["a", "b" * 20, "c" * 64]))
def test_the_times_are_those_of_cryptography(one: datetime, two: datetime, name: str) -> None:
    """For every time that a certificate may have, whatever the length of what comes before it."""
    made = _certificate(min(one, two), max(one, two), name)
    pem = made.public_bytes(serialization.Encoding.PEM)
    der = first_certificate(b"text before\n" + pem + pem)
    assert der == made.public_bytes(serialization.Encoding.DER)
    assert read_validity(der) == Validity(made.not_valid_before_utc, made.not_valid_after_utc)


def test_a_certificate_is_valid_from_its_first_to_its_last_second() -> None:
    """Both included, as RFC 5280 has it; outside, the fault has the date."""
    begins, ends = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 31, 12, tzinfo=UTC)
    validity = Validity(begins, ends)
    assert validity.fault(begins) == validity.fault(ends) == ""
    assert validity.fault(ends + _SECOND) == "expired on 2027-01-31 12:00:00 UTC"
    assert validity.fault(begins - _SECOND) == "is valid only from 2027-01-01 00:00:00 UTC on"


def test_what_is_no_certificate_is_a_value_error() -> None:
    """Cut off anywhere before its times, empty, or of other content: never another error."""
    der = _certificate(_EDGE, _EDGE + _SECOND, "a").public_bytes(serialization.Encoding.DER)
    times = der.index(b"20500101000001Z")
    for end in range(times + 14):
        with pytest.raises(ValueError, match=r"cut off|no time|does not match|unconverted"):
            read_validity(der[:end])
    assert first_certificate(b"no PEM") is None
