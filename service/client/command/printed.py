"""Standard output that can be taken back where it is a file, and input that can be read again."""

import os
import stat
from collections import deque
from typing import BinaryIO, Final, Protocol, TextIO

# Text of a table that comes through a pipe, held so that the table can begin anew.
_MOST_HELD_BYTES: Final = 2**26


class ByteLines(Protocol):
    """What gives a text line by line."""

    def readline(self, size: int = ..., /) -> bytes:
        """The next line with its end, cut after so many bytes; b"" at the end."""


class Printed:
    """What one table has put on a stream.

    Args:
        stream: standard output; in UTF-8 where it is a file.
    """

    def __init__(self, stream: TextIO) -> None:
        self.lines = 0
        self._stream = stream
        self._start = _start(stream)
        self._bytes = 0

    @property
    def is_file(self) -> bool:
        """Whether it may be taken back."""
        return self._start is not None

    def write(self, line: str) -> None:
        """Print one line."""
        self._stream.write(line)
        self.lines += 1
        if self._start is not None:
            self._bytes += len(line.encode())

    def take_back(self) -> bool:
        """Make it as if nothing had been printed; False where others can have read or written there."""
        if not self.lines:
            return True
        if self._start is None:
            return False
        self._stream.flush()
        if os.fstat(self._stream.fileno()).st_size != self._start + self._bytes:
            return False
        self._stream.buffer.seek(self._start)
        self._stream.buffer.truncate(self._start)
        self.lines = self._bytes = 0
        return True


class Replay:
    """A table's text, line by line, that can be read again: a file from where it began, a pipe while it is held.

    Args:
        stream: what to read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._start = stream.tell() if stream.seekable() else None
        self._held: list[bytes] | None = None if stream.seekable() else []
        self._held_bytes = 0
        self._again: deque[bytes] = deque()

    def readline(self, size: int = -1, /) -> bytes:
        """As ByteLines has it."""
        line = self._again.popleft() if self._again else self._stream.readline(size)
        if self._held is not None:
            self._held.append(line)
            self._held_bytes += len(line)
            if self._held_bytes > _MOST_HELD_BYTES:
                self.let_go()
        return line

    def let_go(self) -> None:
        """Hold no more of a pipe."""
        self._held = None

    def rewind(self) -> bool:
        """Give everything again; False where that cannot be."""
        if self._start is not None:
            self._stream.seek(self._start)
            return True
        if self._held is None:
            return False
        self._again.extendleft(reversed(self._held))
        self._held, self._held_bytes = [], 0
        return True


def _start(stream: TextIO) -> int | None:
    """Where a file's new lines begin; None for what is no file."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # it is not the system's
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    stream.flush()
    # Lines go to a file's end, whatever `tell` says, where the shell opened it by ">>"; by ">" they do at first, and
    # where something behind them stands they cannot be taken back, which take_back sees by the size.
    return status.st_size if _appends(stream) else stream.buffer.tell()


def _appends(stream: TextIO) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return False
    return bool(fcntl.fcntl(stream.fileno(), fcntl.F_GETFL) & os.O_APPEND)
