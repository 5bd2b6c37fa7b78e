"""The decision at the head: the caller's, or a share."""

import random
from collections.abc import Iterable

from service.tracing.head import Head
from service.tracing.trace import Trace

_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_SAMPLED, _UNSAMPLED = f"00-{_TRACE}-{_SPAN}-01", f"00-{_TRACE}-{_SPAN}-00"


def _begin(head: Head, traceparent: str | None, *metadata: tuple[str, str | bytes]) -> Trace | None:
    return head.begin(traceparent, lambda: metadata, 5.0)


def test_the_callers_decision_is_obeyed() -> None:
    """A sampled parent is continued at share 0, one that is not sampled is not at share 1."""
    none, every = Head(0, list[Trace]().append), Head(1, list[Trace]().append)
    trace = _begin(none, _SAMPLED)
    assert trace is not None
    assert (trace.ids.trace_id, trace.parent_id, trace.started) == (_TRACE, _SPAN, 5.0)
    assert trace.ids.span_id not in ("", _SPAN)
    assert _begin(every, _UNSAMPLED) is None


def test_without_a_valid_parent_a_share_is_drawn() -> None:
    """None at 0, all at 1, and 1 % of 100,000 at 0.01, within four standard deviations. An invalid parent is none."""
    kept: list[Trace] = []
    assert all(_begin(Head(0, kept.append), None) is None for _ in range(1000))
    assert all(_begin(Head(1, kept.append), None) is not None for _ in range(1000))
    assert _begin(Head(1, kept.append), "nonsense") is not None
    assert _begin(Head(0, kept.append), "nonsense") is None
    head = Head(0.01, kept.append, random.Random(0).random)
    assert abs(sum(_begin(head, None) is not None for _ in range(100_000)) - 1000) < 4 * 1000**0.5


def test_ids_are_new_and_well_formed() -> None:
    """A thousand roots have a thousand trace ids and span ids, hexadecimal, not zero, of the right length."""
    begun = [_begin(Head(1, list[Trace]().append), None) for _ in range(1000)]
    ids = [trace.ids for trace in begun if trace is not None]
    assert len({each.trace_id for each in ids}) == len({each.span_id for each in ids}) == 1000
    assert all(int(each.trace_id, 16) and len(each.trace_id) == 32 for each in ids)
    assert {len(each.span_id) for each in ids} == {16}


def test_the_tracestate_goes_along() -> None:
    """It is handed on, several of them as one list; bytes and what is too long are dropped."""
    head = Head(0, list[Trace]().append)

    def state(*values: str | bytes) -> str:
        trace = _begin(head, _SAMPLED, *(("tracestate", value) for value in values))
        assert trace is not None
        return trace.state

    assert state("a=1") == "a=1"
    assert state("a=1", "b=2") == "a=1,b=2"
    assert state(b"\xff") == state("x" * 10_000) == state() == ""


def test_metadata_is_read_only_to_continue_a_trace() -> None:
    """Calls without a parent, which are most, cost no look at the metadata."""

    def unread() -> Iterable[tuple[str, str | bytes]]:
        raise AssertionError("the metadata was read")

    assert Head(1, list[Trace]().append).begin(None, unread, 0.0) is not None
    assert Head(1, list[Trace]().append).begin(_UNSAMPLED, unread, 0.0) is None
