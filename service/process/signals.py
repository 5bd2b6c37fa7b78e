"""The signals that stop a server, one after another."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# A byte that is no signal's number.
_ENDED = b"\0"


class Signals:
    """What came: signals, or the end of the server. Made by :func:`signals`."""

    def __init__(self, reader: socket.socket, writer: socket.socket) -> None:
        self._reader, self._writer = reader, writer

    def next(self, seconds: float) -> signal.Signals | None:
        """Wait for what comes next, in the main thread; None for the end of the server.

        Raises:
            TimeoutError: Nothing came so long.
        """
        self._reader.settimeout(max(seconds, 1e-3))  # 0 would not wait at all, and fail in another way
        number = self._reader.recv(1)
        return None if number == _ENDED else signal.Signals(number[0])

    def end(self) -> None:
        """Say that the server has ended; for any thread."""
        self._writer.send(_ENDED)


@contextmanager
def signals(*, last: bool = False) -> Iterator[Signals]:
    """SIGTERM, SIGINT and SIGHUP as they come, for the length of a with block; for the main thread alone.

    SIGHUP comes only where it was not ignored at the start, as nohup has it.

    Args:
        last: Whether the process ends after the block: a signal that comes then changes nothing any more.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    numbers = [
        number for number in _STOPPING if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]
    # A handler in Python runs once the main thread wakes, and the system may give a signal to another thread, which
    # wakes nobody: seen 6 times of 9 under load. The number in the socket wakes whoever waits for it.
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield Signals(reader, writer)
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if last else handler)
        signal.set_wakeup_fd(descriptor)
        reader.close()
        writer.close()
