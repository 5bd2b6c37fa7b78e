"""traceparent and tracestate, against the W3C's specification."""

import pytest

from service.tracing.traceparent import Parent, read_traceparent, read_tracestate

_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{_TRACE}-{_SPAN}-01", True),
        (f"00-{_TRACE}-{_SPAN}-00", False),
        (f"00-{_TRACE}-{_SPAN}-03", True),  # level 2: the trace id is random
        (f"00-{_TRACE}-{_SPAN}-fe", False),
        (f"cc-{_TRACE}-{_SPAN}-01", True),
        (f"cc-{_TRACE}-{_SPAN}-01-what-the-future-will-be-like", True),
        (f"00-{_TRACE}-{_SPAN}-01".encode(), True),
    ],
)
def test_valid_values_are_read(value: str | bytes, sampled: bool) -> None:
    """The specification's examples, and those of later versions, which may be longer."""
    assert read_traceparent(value) == Parent(_TRACE, _SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{_TRACE}-{_SPAN}",
        f"00-{_TRACE}-{_SPAN}-1",
        f"00-{_TRACE}-{_SPAN}-01-more",
        f"00-{_TRACE}-{_SPAN}-01\n",
        f" 00-{_TRACE}-{_SPAN}-01",
        f"ff-{_TRACE}-{_SPAN}-01",
        f"00-{'0' * 32}-{_SPAN}-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"00-{_TRACE.upper()}-{_SPAN}-01",
        f"00-{_TRACE}-{_SPAN}-0é",
        f"00-{_TRACE}-{_SPAN}-0١",
        f"cc-{_TRACE}-{_SPAN}-01.",
        f"cc-{_TRACE}-{_SPAN}-01-" + "x" * 100_000,
        b"\xff\x00",
    ],
)
def test_invalid_values_are_ignored(value: str | bytes) -> None:
    """What the specification calls invalid, other digits than ASCII's, and values too long give nothing."""
    assert read_traceparent(value) is None


def test_a_tracestate_is_handed_on_or_dropped() -> None:
    """Up to 512 printable ASCII characters are handed on as they came; others are dropped whole."""
    assert read_tracestate("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE") == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    assert read_tracestate("a=" + "x" * 510) == "a=" + "x" * 510
    assert read_tracestate("a=" + "x" * 511) == ""
    assert read_tracestate("a=é") == ""
    assert read_tracestate("a=\x00") == ""
