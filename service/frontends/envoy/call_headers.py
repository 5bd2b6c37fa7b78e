"""A call's deadline and the address of its connection in headers of our own, from Envoy to Python.

Where Envoy keeps the deadline itself (routes.py) it rewrites grpc-timeout, rounded up to whole milliseconds. What pyvoy
says of the client follows x-forwarded-for, which the caller writes.
"""

from collections.abc import Mapping
from typing import Any

TIMEOUT, PEER = b"x-kan-timeout", b"x-kan-peer"
# As Envoy's command operators give them.
_VALUES = {TIMEOUT: "%REQ(grpc-timeout)%", PEER: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"}


def mutations() -> list[dict[str, Any]]:
    """What Envoy does to a call's headers before anything else: a caller cannot write ours."""
    steps: list[dict[str, Any]] = []
    for name, value in _VALUES.items():
        header = {"header": {"key": name.decode(), "value": value}, "keep_empty_value": False}
        steps += [{"remove": name.decode()}, {"append": header}]
    return steps


def timeout_in(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The value of the caller's grpc-timeout; None if the caller sent none."""
    return headers.get(TIMEOUT)


def peer_in(headers: Mapping[bytes, bytes]) -> str:
    """The address and port that a call came from."""
    return headers.get(PEER, b"").decode("latin-1")
