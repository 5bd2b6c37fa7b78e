"""What the server knows of a call."""

import pytest

from service.rpc.request import RequestContext
from service.tracing.head import Head
from service.tracing.trace import Trace

_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def _context(*metadata: tuple[str, str | bytes]) -> RequestContext:
    return RequestContext(metadata=lambda: metadata)


@pytest.mark.parametrize("given", ["seven", "a b", "x" * 128, '{"a": 1}'])
def test_a_callers_request_id_is_taken(given: str) -> None:
    """Up to 128 printable ASCII characters."""
    assert _context(("user-agent", "x"), ("x-request-id", given)).request_id == given


@pytest.mark.parametrize("given", ["", "  ", "x" * 129, "é", "a\nb", "\x1b[31m", b"\xff\xfe"])
def test_a_request_id_that_does_not_fit_is_replaced(given: str | bytes) -> None:
    """By one of 16 hexadecimal digits, which stays the same for the call and differs from those of others."""
    first, second = _context(("x-request-id", given)), _context(("x-request-id", given))
    assert len(first.request_id) == 16
    assert int(first.request_id, 16) >= 0
    assert first.request_id == first.request_id != second.request_id


def test_the_trace_id_is_known_of_calls_that_are_not_sampled() -> None:
    """From traceparent; "" without a valid one; of a sampled call that of its trace."""
    assert _context(("traceparent", f"00-{_TRACE}-{_SPAN}-00")).trace_id == _TRACE
    assert _context(("traceparent", "nonsense")).trace_id == _context().trace_id == ""
    traced = _context()
    traced.trace = Head(1, list[Trace]().append).begin(None, tuple, 0.0)
    assert traced.trace is not None
    assert traced.trace_id == traced.trace.ids.trace_id


def test_the_names_in_a_log_line() -> None:
    """The request id always, also one that was made here; the traceparent if there is one, shortened."""
    assert _context(("x-request-id", "a b")).names() == "x-request-id 'a b'"
    made = _context(("traceparent", "x" * 5000))
    assert made.names() == f"x-request-id {made.request_id!r}, traceparent " + repr("x" * 5000)[:100]


def test_the_fields_of_a_log_line() -> None:
    """Names, code and time of every call; wait and run once there was a run."""
    context = _context(("x-request-id", "seven"))
    context.model, context.version = "digits", "3"
    fields = context.log_fields("/a.B/C", "INTERNAL", 0.25)
    assert fields == {
        "request_id": "seven",
        "trace_id": "",
        "method": "a.B/C",
        "model": "digits",
        "version": "3",
        "code": "INTERNAL",
        "seconds": 0.25,
    }
    context.queue_seconds, context.compute_seconds = 0.1, 0.2
    assert context.log_fields("/a.B/C", "INTERNAL", 0.5) == {
        **fields,
        "seconds": 0.5,
        "queue_seconds": 0.1,
        "compute_seconds": 0.2,
    }
