"""Repeats in the log: of one message only so many lines a minute are written.

Example: the storage fails at every request for an hour. Each minute the log gets 30 lines of it, and then one more:
"5970 more lines like this were left out within 60 s: the storage does not answer: %s".

A message whose first argument is a text, such as the name of a model, is limited for each of them: one model that fails
hides no other.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

# A line of lower level is written once for each version or signal, so nothing repeats it without end.
_LEAST_LEVEL = logging.WARNING
_MOST_LINES = 30
_WINDOW_SECONDS = 60.0
# Messages that are counted at the same time; beyond it the oldest window ends early.
_MOST_WINDOWS = 256
_LONGEST_TEMPLATE, _LONGEST_SUBJECT = 200, 80
# Subjects of one message that are told apart; callers may have a hand in them. The lines of further ones share a limit.
_MOST_SUBJECTS = 64

_Key = tuple[str, int, str, str]  # logger, level, template, subject


def _cancel_nothing() -> None:
    """Cancels nothing."""


@dataclass
class _Window:
    """The lines of one message since the first of them."""

    ends: float
    lines: int = 0
    left_out: int = 0
    cancel: Callable[[], None] = _cancel_nothing


class _Summary(logging.LogRecord):
    """A line that says how many were left out."""


def _later(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    with suppress(RuntimeError):  # no thread can be started: the next line of the message, or the end, comes to it
        timer.start()
    return timer.cancel


class Repeats(logging.Filter):
    """Lets 30 lines of one message, before its arguments are filled in, pass within 60 seconds.

    Args:
        write: Writes the line that says how many were left out.
        clock: Monotonic seconds.
        later: Calls a function after so many seconds, in any thread; gives a function that cancels that.
    """

    def __init__(
        self,
        write: Callable[[logging.LogRecord], object],
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], Callable[[], None]] = _later,
    ) -> None:
        super().__init__()
        self._write = write
        self._clock = clock
        self._later = later
        self._lock = threading.Lock()
        self._windows: dict[_Key, _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        if record.levelno < _LEAST_LEVEL or isinstance(record, _Summary):
            return True
        ended: list[_Key] = []
        with self._lock:
            key = self._key(record)
            now = self._clock()
            window = self._windows.get(key)
            if window is not None and now >= window.ends:
                ended.append(key)
            elif window is None and len(self._windows) >= _MOST_WINDOWS:
                ended.append(next(iter(self._windows)))
        for each in ended:
            self._end(each)
        with self._lock:
            window = self._windows.setdefault(key, _Window(now + _WINDOW_SECONDS))
            window.lines += 1
            if window.lines <= _MOST_LINES:
                return True
            window.left_out += 1
            is_first = window.left_out == 1
        if is_first:
            cancel = self._later(window.ends - now, lambda: self._end(key, window))
            with self._lock:
                window.cancel = cancel
                is_open = self._windows.get(key) is window
            if not is_open:
                cancel()
        return False

    def finish(self) -> None:
        """Write what is still to be said, at the end of the process."""
        for key in list(self._windows):
            self._end(key)

    def _key(self, record: logging.LogRecord) -> _Key:
        """The window of a line. Called under the lock."""
        message = (record.name, record.levelno, str(record.msg)[:_LONGEST_TEMPLATE])
        first = record.args[0] if isinstance(record.args, tuple) and record.args else None
        key = (*message, first[:_LONGEST_SUBJECT] if isinstance(first, str) else "")
        is_new = key not in self._windows
        if is_new and sum(each[:3] == message for each in self._windows) >= _MOST_SUBJECTS:
            return (*message, "")
        return key

    def _end(self, key: _Key, wanted: _Window | None = None) -> None:
        """End the window of a message, or this one of it, and say how many lines were left out."""
        with self._lock:
            window = self._windows.get(key)
            if window is None or (wanted is not None and window is not wanted):
                return
            del self._windows[key]
            window.cancel()
        if window.left_out:
            name, level, template, subject = key
            text = "%d more lines like this were left out within %.0f s: %s%s"
            arguments = (window.left_out, _WINDOW_SECONDS, template, f" ({subject})" if subject else "")
            self._write(_Summary(name, level, __file__, 0, text, arguments, None))
