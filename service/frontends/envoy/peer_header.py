"""The address of a call's connection in a header of our own, from Envoy to Python.

What pyvoy says of the client follows x-forwarded-for, which the caller writes.
"""

from collections.abc import Mapping
from typing import Any

HEADER = b"x-kan-peer"


def mutations() -> list[dict[str, Any]]:
    """What Envoy does to a call's headers before anything else."""
    name = HEADER.decode()
    told = {"header": {"key": name, "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"}, "keep_empty_value": False}
    return [{"remove": name}, {"append": told}]


def peer_in(headers: Mapping[bytes, bytes]) -> str:
    """The address and port that a call came from."""
    return headers.get(HEADER, b"").decode("latin-1")
