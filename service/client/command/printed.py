"""Output whose lines can be removed if it is a file, and input that can be read a second time."""

import os
import stat
from collections import deque
from typing import BinaryIO, Final, Protocol, TextIO

# The beginning of a table on a pipe is kept up to this size, so that it can be read a second time.
_MOST_HELD_BYTES: Final = 2**26


class ByteLines(Protocol):
    """A stream of lines."""

    def readline(self, size: int = ..., /) -> bytes:
        r"""The next line with its "\n", cut after `size` bytes; b"" at the end of the stream."""


class Printed:
    """The lines of one table on a stream.

    Args:
        stream: standard output; if it is a file, its encoding must be UTF-8.
    """

    def __init__(self, stream: TextIO) -> None:
        self.lines = 0
        self._stream = stream
        self._start = _start(stream)
        self._bytes = 0

    @property
    def is_file(self) -> bool:
        """Whether the stream is a file, so that lines can be removed."""
        return self._start is not None

    def write(self, line: str) -> None:
        """Print one line."""
        self._stream.write(line)
        self.lines += 1
        if self._start is not None:
            self._bytes += len(line.encode())

    def take_back(self) -> bool:
        """Remove all printed lines; False if that is impossible.

        Lines on a pipe or a terminal have been read. In a file, another process may have written behind them.
        """
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
    """The lines of a table, which can be read a second time: a file always, a pipe while its lines are kept.

    Args:
        stream: the file or pipe to read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._start = stream.tell() if stream.seekable() else None
        self._held: list[bytes] | None = None if stream.seekable() else []
        self._held_bytes = 0
        self._again: deque[bytes] = deque()

    def readline(self, size: int = -1, /) -> bytes:
        """As ByteLines.readline."""
        line = self._again.popleft() if self._again else self._stream.readline(size)
        if self._held is not None:
            self._held.append(line)
            self._held_bytes += len(line)
            if self._held_bytes > _MOST_HELD_BYTES:
                self.let_go()
        return line

    def let_go(self) -> None:
        """Keep the lines of a pipe no longer: the table will not be read a second time."""
        self._held = None

    def rewind(self) -> bool:
        """Begin again with the first line; False if the lines were not kept."""
        if self._start is not None:
            self._stream.seek(self._start)
            return True
        if self._held is None:
            return False
        self._again.extendleft(reversed(self._held))
        self._held, self._held_bytes = [], 0
        return True


def _start(stream: TextIO) -> int | None:
    """The position in a file where new lines will begin; None if the stream is not a file."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # the stream has no file descriptor
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    stream.flush()
    # If the shell opened the file with ">>", each line goes to the end of the file, whatever `tell` says. With ">" it
    # goes to the current position. If another process has written behind it, take_back finds that by the file's size.
    return status.st_size if _appends(stream) else stream.buffer.tell()


def _appends(stream: TextIO) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return False
    return bool(fcntl.fcntl(stream.fileno(), fcntl.F_GETFL) & os.O_APPEND)
