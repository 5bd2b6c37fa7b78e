"""A call's deadline in a header of our own, from Envoy to Python.

Where Envoy keeps the deadline itself (envoy_routes.py) it rewrites grpc-timeout, rounded up to whole milliseconds.
"""

from collections.abc import Mapping
from typing import Any

HEADER = b"x-kan-timeout"


def mutations() -> list[dict[str, Any]]:
    """What Envoy does to a call's headers before anything else: what grpc-timeout says is kept as it came."""
    name = HEADER.decode()
    copied = {"header": {"key": name, "value": "%REQ(grpc-timeout)%"}, "keep_empty_value": False}
    return [{"remove": name}, {"append": copied}]


def timeout_in(headers: Mapping[bytes, bytes]) -> bytes | None:
    """What the caller's grpc-timeout said; None: he has sent none."""
    return headers.get(HEADER)
