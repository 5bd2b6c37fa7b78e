"""Repeats in the log are limited, and how many were left out is said."""

import json
import logging
import threading
from collections.abc import Callable

import pytest

from service.process.output import log
from service.process.output.repeats import Repeats
from tests.kit.clock import Clock

_MOST = 30


class Lines:
    """A filter between a test and what is written; timers run when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.written: list[str] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.repeats = Repeats(self._write, self.clock, self._later)

    def _later(self, seconds: float, act: Callable[[], None]) -> Callable[[], None]:
        timer = (seconds, act)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer) if timer in self.timers else None

    def log(self, text: str, *arguments: object, level: int = logging.ERROR, name: str = "a") -> None:
        record = logging.LogRecord(name, level, "", 0, text, arguments, None)
        if self.repeats.filter(record):
            self._write(record)

    def _write(self, record: logging.LogRecord) -> None:
        self.written.append(record.getMessage())


@pytest.fixture
def lines() -> Lines:
    """A log of a test."""
    return Lines()


def test_repeats_are_left_out_and_counted_when_the_minute_ends(lines: Lines) -> None:
    """Of 100 lines of one template 30 are written; the timer then writes one line that counts the other 70."""
    for number in range(100):
        lines.log("request %d failed", number)
    assert lines.written == [f"request {number} failed" for number in range(_MOST)]
    ((seconds, act),) = lines.timers
    assert seconds == 60
    act()
    assert lines.written[_MOST:] == ["70 more lines like this were left out within 60 s: request %d failed"]


def test_each_message_level_and_logger_is_counted_alone(lines: Lines) -> None:
    """A storm of one message hides no other, and lines of level INFO always pass."""
    for _ in range(100):
        lines.log("a storm")
    lines.log("a drop")
    lines.log("a storm", level=logging.WARNING)
    lines.log("a storm", name="b")
    for _ in range(100):
        lines.log("news", level=logging.INFO)
    assert lines.written[_MOST:] == ["a drop", "a storm", "a storm", *["news"] * 100]


def test_a_minute_later_lines_pass_again(lines: Lines) -> None:
    """The next line after the window says first how many were left out; an old timer says it no second time."""
    for _ in range(_MOST + 2):
        lines.log("a storm")
    ((_, old),) = lines.timers
    lines.clock.now += 60
    lines.log("a storm")
    assert lines.written[_MOST:] == ["2 more lines like this were left out within 60 s: a storm", "a storm"]
    old()
    lines.repeats.finish()
    assert len(lines.written) == _MOST + 2


def test_each_subject_is_counted_alone(lines: Lines) -> None:
    """Forty models that are refused are 40 lines. One that fails without end hides no other, and is named."""
    for number in range(40):
        lines.log("model %s version %d refused", f"m{number}", 1)
    assert len(lines.written) == 40
    for _ in range(100):
        lines.log("model %s version %d refused", "m7", 2)
    assert len(lines.written) == 40 + _MOST - 1
    lines.repeats.finish()
    assert lines.written[-1] == "71 more lines like this were left out within 60 s: model %s version %d refused (m7)"


def test_made_up_subjects_pass_no_more_lines_than_64_and_one_window(lines: Lines) -> None:
    """Callers may have a hand in an argument: the lines of further subjects share the limit of one message."""
    for number in range(10_000):
        lines.log("closed the connection of %s", f"ipv4:10.0.0.1:{number}")
    assert len(lines.written) == 64 + _MOST
    lines.repeats.finish()
    left_out = 10_000 - 64 - _MOST
    assert (
        lines.written[-1] == f"{left_out} more lines like this were left out within 60 s: closed the connection of %s"
    )


def test_a_window_that_ends_early_leaves_no_timer(lines: Lines) -> None:
    """Of 2,000 storms at most 256 wait for the end of their minute; the end of the process leaves none."""
    for number in range(2000):
        for _ in range(_MOST + 1):
            lines.log(f"storm {number}")
    assert len(lines.timers) <= 256
    lines.repeats.finish()
    assert lines.timers == []


def test_a_timer_that_is_cancelled_ends_its_thread(logging_restored: None) -> None:
    """The real one too."""
    before = set(threading.enumerate())
    log.set_up("text")
    for _ in range(_MOST + 1):
        logging.getLogger("a.b").warning("a storm")
    (timer,) = set(threading.enumerate()) - before
    log.finish()
    timer.join(20)
    assert not timer.is_alive()


def test_endlessly_many_messages_take_no_endless_memory(lines: Lines) -> None:
    """Ten thousand different messages keep at most 256 counts, and nothing left out is lost."""
    for _ in range(_MOST + 5):
        lines.log("a storm")
    for number in range(10_000):
        lines.log(f"message {number}")
    assert len(lines.repeats._windows) == 256
    assert len(lines.written) == _MOST + 1 + 10_000
    assert "5 more lines like this were left out within 60 s: a storm" in lines.written


def test_a_process_without_room_for_a_thread_logs_all_the_same(
    capsys: pytest.CaptureFixture[str], logging_restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log line never raises: what was left out is then said at the end."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    log.set_up("text")
    for _ in range(_MOST + 1):
        logging.getLogger("a.b").warning("a storm")
    log.finish()
    assert "1 more lines like this were left out" in capsys.readouterr().err


def test_the_end_of_the_process_tells_the_rest(capsys: pytest.CaptureFixture[str], logging_restored: None) -> None:
    """What is still left out when the process ends is said, in JSON too, with the level and logger of the lines."""
    log.set_up("json")
    for number in range(_MOST + 3):
        logging.getLogger("a.b").warning("storm %d", number)
    log.finish()
    *first, last = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in first] == [f"storm {number}" for number in range(_MOST)]
    assert (last["level"], last["logger"]) == ("WARNING", "a.b")
    assert last["message"] == "3 more lines like this were left out within 60 s: storm %d"
