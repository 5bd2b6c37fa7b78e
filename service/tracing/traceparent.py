"""The header traceparent: which trace a caller's request belongs to, and whether that trace is recorded.

Source: W3C Trace Context, level 2. Whatever is not valid is ignored, as the specification wants it: it is no error.
"""

import re
from typing import Final, NamedTuple

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

# Later versions may append fields; version ff is invalid.
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST = 512
_SAMPLED = 0x01


class Parent(NamedTuple):
    """The caller's span.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        sampled: Whether the caller records it.
    """

    trace_id: str
    span_id: str
    sampled: bool


def read_traceparent(value: str | bytes) -> Parent | None:
    """The caller's span that a traceparent names; None if the value is not valid."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "00" and more is not None:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def read_tracestate(value: str) -> str:
    """A tracestate as it is handed on; "" if it is longer than 512 characters or has others than printable ASCII."""
    return value if len(value) <= _LONGEST and value.isascii() and value.isprintable() else ""
