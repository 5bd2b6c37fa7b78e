"""The exporter and a real receiver: what is sent, sent again, given up and dropped."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator

import grpc
import pytest

from service.errors import StartupError
from service.tracing.exporter import Exporter, Result
from service.tracing.head import Head
from service.tracing.trace import End, Trace
from tests.kit.server.otlp import Receiver, attributes, receiving
from tests.kit.waiting import seconds_until, wait_for

_END = End("/a.B/C", "OK", "digits", "3", "seven", 0.25)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of traces."""
    with receiving() as started:
        yield started


@pytest.fixture
def counts() -> Counter[str]:
    """How many traces ended how."""
    return Counter()


@pytest.fixture
def exporter(receiver: Receiver, counts: Counter[str]) -> Iterator[Exporter]:
    """An exporter to the receiver, not started."""
    made = _exporter(receiver.address, counts)
    yield made
    asyncio.run(made.stop(5))


def _exporter(address: str, counts: Counter[str]) -> Exporter:
    lock = threading.Lock()

    def count(result: Result, number: int) -> None:
        with lock:
            counts[result] += number

    return Exporter(address, count)


def _start(exporter: Exporter) -> None:
    exporter.start("10.0.0.7", lambda: 8001)


def _put(exporter: Exporter, count: int = 1, end: End = _END) -> list[Trace]:
    """Calls that end at once."""
    head = Head(1, exporter.put)
    traces = [head.begin(None, tuple, time.monotonic()) for _ in range(count)]
    found = [trace for trace in traces if trace is not None]
    for trace in found:
        trace.finish(end)
    return found


def test_a_trace_is_sent_with_its_resource_and_its_times(
    exporter: Exporter, receiver: Receiver, counts: Counter[str]
) -> None:
    """The span lies where the clock of the day says, and lasts as long as the call."""
    before = time.time_ns()
    (trace,) = _put(exporter)
    after = time.time_ns()
    _start(exporter)
    (span,) = receiver.wait_for("a.B/C")
    assert span.trace_id.hex() == trace.ids.trace_id
    assert before - 1e6 <= span.start_time_unix_nano <= after + 1e6
    assert abs(span.end_time_unix_nano - span.start_time_unix_nano - 0.25e9) < 1000
    assert attributes(span.attributes)["server.address"] == "10.0.0.7"
    resource = attributes(receiver.messages[0].resource_spans[0].resource.attributes)
    assert {"service.name", "service.version", "service.instance.id"} <= set(resource)
    wait_for(lambda: counts == {"sent": 1})


def test_a_failure_that_may_pass_is_tried_again(
    exporter: Exporter, receiver: Receiver, counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Two refusals later the trace is there, once; the log has one line for the failures and one for their end."""
    receiver.failures += [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    caplog.set_level(logging.INFO)
    _put(exporter)
    _start(exporter)
    receiver.wait_for("a.B/C")
    wait_for(lambda: counts == {"sent": 1})
    assert len(receiver.metadata) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "traces are not received: UNAVAILABLE: as told",
        "traces are received again",
    ]


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED])
def test_a_failure_that_lasts_is_not_tried_again(
    exporter: Exporter, receiver: Receiver, counts: Counter[str], code: grpc.StatusCode
) -> None:
    """The traces of that message are lost and counted; later ones are sent."""
    receiver.failures.append(code)
    _put(exporter, 2)
    _start(exporter)
    wait_for(lambda: counts == {"failed": 2})
    _put(exporter)
    receiver.wait_for("a.B/C")
    wait_for(lambda: counts == {"failed": 2, "sent": 1})
    assert len(receiver.metadata) == 2


def test_a_full_queue_drops_and_counts(exporter: Exporter, receiver: Receiver, counts: Counter[str]) -> None:
    """Of 5,000 traces 4,096 wait, and they are sent."""
    _put(exporter, 5000)
    assert counts == {"queue_full": 904}
    _start(exporter)
    wait_for(lambda: counts == {"queue_full": 904, "sent": 4096})
    assert len({span.trace_id for span in receiver.spans}) == 4096


def test_a_queue_that_is_half_full_is_sent_at_once(
    receiver: Receiver, counts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the next sending is a minute away."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    exporter = _exporter(receiver.address, counts)
    _start(exporter)
    _put(exporter, 2048)
    wait_for(lambda: counts["sent"] == 2048, seconds=30)
    asyncio.run(exporter.stop(5))


def test_a_stop_sends_what_is_queued(exporter: Exporter, receiver: Receiver, counts: Counter[str]) -> None:
    """All of it, and the thread has ended."""
    _start(exporter)
    _put(exporter, 200)
    asyncio.run(exporter.stop(30))
    assert counts == {"sent": 200}
    assert len(receiver.spans) == 200


def test_a_stop_gives_up_a_receiver_that_hangs(exporter: Exporter, receiver: Receiver, counts: Counter[str]) -> None:
    """The call is cancelled when the time is over; nothing waits for its deadline of 10 seconds."""
    receiver.open.clear()
    _start(exporter)
    _put(exporter)
    asyncio.run(exporter.stop(0.1))

    def has_ended() -> bool:
        return counts == {"failed": 1} and "traces" not in {thread.name for thread in threading.enumerate()}

    assert seconds_until(has_ended, "the end of the thread") < 8


def test_a_trace_that_cannot_be_sent_ends_no_thread(
    exporter: Exporter, receiver: Receiver, counts: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A name that is no text, which protobuf refuses, is logged and counted; the next trace is sent."""
    _put(exporter, end=End("/a.B/\udc80", "OK", "", "", "", 0.0))
    _start(exporter)
    wait_for(lambda: counts == {"failed": 1})
    assert "traces could not be sent" in caplog.text
    _put(exporter)
    receiver.wait_for("a.B/C")


@pytest.mark.parametrize(
    "address", ["http://", "nonsense", "ftp://a:1", "http://a:b", "http://a:70000", "http://a/v1/traces"]
)
def test_an_address_that_cannot_be_used_is_refused(address: str) -> None:
    """With the address and the form that is wanted."""
    with pytest.raises(StartupError, match="wanted http://HOST:PORT"):
        _exporter(address, Counter())
