"""The access log: one JSON line a request, never with a payload or a token."""

import errno
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from service.errors import StartupError

_log = logging.getLogger(__name__)

# Lines of several processes in one pipe do not mix while each is one write of at most PIPE_BUF bytes (POSIX: 512 at
# least, Linux: 4096).
MOST_LINE_BYTES: Final = 4096
_MOST_TEXT_BYTES: Final = 512
_WAITING_LINES: Final = 10_000
_LOOK_SECONDS: Final = 1.0
# A part of what is left of a stop once everything is closed (service/process/stop.py).
_CLOSE_SECONDS: Final = 0.3
_TOLD_SECONDS: Final = 60.0


class AccessLog:
    """Writes the lines in a thread of its own, so that a full disk or an unread pipe stops no call.

    A file that is renamed or removed is made anew within a second, so that it can be rotated.

    Args:
        file: Is appended to; "-" is standard error.

    Attributes:
        lost: Lines that could not be written.

    Raises:
        StartupError: The file cannot be written.
    """

    def __init__(self, file: str) -> None:
        self.lost = 0
        self._file = file
        try:
            self._descriptor = 2 if file == "-" else open_to_append(file)
        except OSError as error:
            raise StartupError(f"the access log {file!r} cannot be written: {error.strerror or error}") from error
        self._lines: queue.Queue[Mapping[str, Any] | None] = queue.Queue(_WAITING_LINES)
        self._torn = False
        self._looked_at = time.monotonic()
        self._told_at = -_TOLD_SECONDS
        self._thread = threading.Thread(target=self._write_all, name="access log", daemon=True)
        self._thread.start()

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write one line; it is lost, and counted so, if too many wait. Never waits.

        Args:
            fields: Texts, numbers and None. Long texts are cut.
        """
        try:
            self._lines.put_nowait(fields)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write what waits, for at most 0.3 s, and end."""
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(_CLOSE_SECONDS)

    def _write_all(self) -> None:
        while (fields := self._lines.get()) is not None:
            try:
                self._reopen_if_gone()
                self._write(line(fields))
            except OSError as error:
                self.lost += 1
                if time.monotonic() - self._told_at >= _TOLD_SECONDS:
                    self._told_at = time.monotonic()
                    _log.error(
                        "a line of the access log %r was lost: %s; for a minute no other such line follows",
                        self._file,
                        error.strerror or error,
                    )
        if self._descriptor != 2:
            os.close(self._descriptor)

    def _write(self, text: bytes) -> None:
        # After half a line, on a disk that was full, the next begins on a line of its own.
        whole = b"\n" + text if self._torn else text
        self._torn = os.write(self._descriptor, whole) < len(whole)
        if self._torn:
            self.lost += 1

    def _reopen_if_gone(self) -> None:
        if self._descriptor == 2 or time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        try:
            is_there = os.path.samestat(os.stat(self._file), os.fstat(self._descriptor))
        except FileNotFoundError:
            is_there = False
        if not is_there:
            before, self._descriptor = self._descriptor, open_to_append(self._file)
            os.close(before)


def open_to_append(file: str) -> int:
    """Open a log without waiting.

    Raises:
        OSError: It cannot be opened. A pipe that nobody reads is an error too: a plain open would wait for a reader.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(file, flags, 0o640)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "it is a pipe that nobody reads; start its reader first", file) from error
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def now() -> str:
    """The time of day for a line: UTC, in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(fields: Mapping[str, Any]) -> bytes:
    """A line of at most `MOST_LINE_BYTES`, newline included: its long texts are cut."""
    shown = {key: _cut(value) if isinstance(value, str) else value for key, value in fields.items()}
    return json.dumps(shown, separators=(",", ":")).encode() + b"\n"


def _cut(text: str) -> str:
    """A text that takes at most `_MOST_TEXT_BYTES` as JSON, where a character takes up to 12."""
    if len(text) <= _MOST_TEXT_BYTES // 12:
        return text
    cut = text[:_MOST_TEXT_BYTES]
    while len(json.dumps(cut)) > _MOST_TEXT_BYTES:
        cut = cut[: len(cut) * 3 // 4]
    return cut if len(cut) == len(text) else cut + "…"
