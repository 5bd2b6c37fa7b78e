"""Output whose lines can be removed if it is a file, and input that can be read a second time."""

import os
import stat
from collections import deque
from typing import BinaryIO, Final, TextIO

# The beginning of a table on a pipe is kept up to this size, so that it can be read a second time.
_MOST_HELD_BYTES: Final = 2**26
# An interrupt can make TextIOWrapper drop its pending text, of at most 8192 bytes, beside the line that is written.
_MOST_LOST_LINES: Final = 8193


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
        self._last_bytes: deque[int] = deque(maxlen=_MOST_LOST_LINES)

    @property
    def is_file(self) -> bool:
        """Whether the stream is a file, so that lines can be removed."""
        return self._start is not None

    def write(self, line: str) -> None:
        """Print one line. A character that the stream cannot hold becomes a question mark."""
        try:
            size = 0 if self._start is None else len(line.encode())
            # Counted first: an interrupt may come right after the write, and then the line must be removable too.
            # Python takes no signal between the two additions.
            self._bytes += size
            self.lines += 1
            self._last_bytes.append(size)
            self._stream.write(line)
        except UnicodeEncodeError:
            # JSON may hold half of a surrogate pair, and a terminal may have another encoding than UTF-8.
            if self._start is None:  # a file's line is encoded before it counts
                self.lines -= 1
            encoding = self._stream.encoding or "utf-8"
            self.write(line.encode(encoding, "replace").decode(encoding))

    def flush(self) -> None:
        """Hand all lines to the system."""
        self._stream.flush()

    def keep(self) -> int:
        """Hand all lines to a file after an interrupt, which may have kept the last ones from being written.

        Returns:
            How many there are.
        """
        self.flush()
        if self._start is not None:
            lost = self._start + self._bytes - os.fstat(self._stream.fileno()).st_size
            while lost > 0 and self._last_bytes:
                size = self._last_bytes.pop()
                self.lines, self._bytes, lost = self.lines - 1, self._bytes - size, lost - size
        return self.lines

    def take_back(self) -> bool:
        """Remove all printed lines; False if that is impossible.

        Lines on a pipe or a terminal have been read. In a file, another process may have written behind them.

        Raises:
            OSError: when the lines cannot be written completely, as on a full disk.
        """
        if not self.lines:
            return True
        if self._start is None:
            return False
        file = self._stream.fileno()
        try:
            self._stream.flush()
        except OSError:
            # Nothing more can be written, but a part that was written can be removed.
            if os.fstat(file).st_size <= self._start + self._bytes:
                os.ftruncate(file, self._start)
            raise
        # An interrupt may have kept the last line from being written.
        if not self._start <= os.fstat(file).st_size <= self._start + self._bytes:
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
        self._size = _size(stream)

    def readline(self, size: int = -1, /) -> bytes:
        r"""The next line with its "\n", cut after `size` bytes; b"" at the end of the stream."""
        line = self._again.popleft() if self._again else self._stream.readline(size)
        if self._held is not None:
            self._held.append(line)
            self._held_bytes += len(line)
            if self._held_bytes > _MOST_HELD_BYTES:
                self.let_go()
        return line

    def share_read(self) -> float | None:
        """How much of a file has been read, from 0 to 1; None for a pipe."""
        return min(1.0, self._stream.tell() / self._size) if self._size else None

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


def _size(stream: BinaryIO) -> int:
    """The size of a file in bytes; 0 if the stream is not a file."""
    try:
        return os.fstat(stream.fileno()).st_size if stream.seekable() else 0
    except OSError:  # the stream has no file descriptor
        return 0


def _appends(stream: TextIO) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return False
    return bool(fcntl.fcntl(stream.fileno(), fcntl.F_GETFL) & os.O_APPEND)
