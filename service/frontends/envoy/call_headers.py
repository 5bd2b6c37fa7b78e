"""The headers of a call: gRPC's metadata, and what Envoy tells Python in headers of our own.

These are the call's deadline, the address of its connection, and the subject of the certificate that it showed.

Where Envoy keeps a deadline itself (routes.py) it rewrites grpc-timeout, rounded up to whole milliseconds. What pyvoy
says of the client follows x-forwarded-for, which the caller writes.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from service.frontends.envoy import message_header

TIMEOUT, PEER, SUBJECT = b"x-kan-timeout", b"x-kan-peer", b"x-kan-subject"
# As Envoy's command operators give them.
_VALUES = {
    TIMEOUT: "%REQ(grpc-timeout)%",
    PEER: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    SUBJECT: "%DOWNSTREAM_PEER_SUBJECT%",
}
# Envoy resets a call whose deadline passes within its answer, which the caller would take for INTERNAL. So the deadline
# that Envoy keeps has one digit more, 2 to 11 times as much: Python, which keeps the caller's, comes first. With eight
# digits, the most, there is no room for another, and Envoy keeps none.
_LONGER_TIMEOUT = {"key": "grpc-timeout", "value": "1%REQ(grpc-timeout)%"}
_NO_METADATA = frozenset(
    (b"content-type", b"te", b"host", message_header.HEADER, message_header.NO_PLACE_HEADER.encode(), *_VALUES)
)


def mutations() -> list[dict[str, Any]]:
    """What Envoy does to a call's headers before anything else: a caller cannot write ours."""
    steps: list[dict[str, Any]] = []
    for name, value in _VALUES.items():
        header = {"header": {"key": name.decode(), "value": value}, "keep_empty_value": False}
        steps += [{"remove": name.decode()}, {"append": header}]
    return [*steps, {"append": {"header": _LONGER_TIMEOUT, "append_action": "OVERWRITE_IF_EXISTS"}}]


def timeout_in(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The value of the caller's grpc-timeout; None if the caller sent none."""
    return headers.get(TIMEOUT)


def peer_in(headers: Mapping[bytes, bytes]) -> str:
    """The address and port that a call came from."""
    return headers.get(PEER, b"").decode("latin-1")


def subject_in(headers: Mapping[bytes, bytes]) -> str:
    """The subject of the certificate that the other end showed; "" without one."""
    return headers.get(SUBJECT, b"").decode(errors="replace")


def authorization_in(headers: Mapping[bytes, bytes]) -> Iterable[tuple[str, bytes]]:
    """The metadata "authorization" alone, since a look at all of it takes 3 µs."""
    value = headers.get(b"authorization")
    return () if value is None else (("authorization", value),)


def metadata_in(headers: Mapping[bytes, bytes]) -> Iterable[tuple[str, str | bytes]]:
    """Headers that are gRPC's metadata; values of keys that end in -bin are bytes (the protocol over HTTP/2).

    Binary values that do not decode are left out.
    """
    for key, value in headers.items():
        if key.endswith(b"-bin"):
            with suppress(binascii.Error):
                yield key.decode("latin-1"), base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
        elif not key.startswith(b"grpc-") and key not in _NO_METADATA:
            yield key.decode("latin-1"), value.decode("latin-1")
