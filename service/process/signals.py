"""The signals that stop a server, one after another, and the signal that ended a process."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# A byte that is no signal's number.
_ENDED = b"\0"


class Signals:
    """The received signals, and the end of the server. Created by :func:`signals`."""

    def __init__(self, reader: socket.socket, writer: socket.socket) -> None:
        self._reader, self._writer = reader, writer

    def next(self, seconds: float) -> signal.Signals | None:
        """Wait in the main thread for the next signal; None for the end of the server.

        Raises:
            TimeoutError: None came within this time.
        """
        self._reader.settimeout(max(seconds, 1e-3))  # 0 would make the socket non-blocking, with another error
        number = self._reader.recv(1)
        return None if number == _ENDED else signal.Signals(number[0])

    def end(self) -> None:
        """Report the end of the server. Any thread may call it."""
        self._writer.send(_ENDED)


@contextmanager
def signals(*, last: bool = False, hangup_stops: bool = True) -> Iterator[Signals]:
    """Receive SIGTERM, SIGINT and SIGHUP during a with block. Only the main thread may call it.

    If SIGHUP stops the server and was ignored at the start, as nohup does, it stays ignored.

    Args:
        hangup_stops: Whether SIGHUP stops the server.
        last: Whether the process ends after the block. If so, later signals are ignored.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    numbers = [
        number
        for number in _STOPPING
        if number is not signal.SIGHUP or not hangup_stops or signal.getsignal(number) is not signal.SIG_IGN
    ]
    # Python runs a signal handler only when the main thread wakes. The system may deliver the signal to another thread,
    # and then the main thread sleeps on: seen in 6 of 9 tries under load. So Python also writes the signal's number to
    # this socket, which wakes the main thread.
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


def how_it_ended(code: int) -> str:
    """How a process ended, for a log line.

    Args:
        code: As subprocess gives it: negative after a signal.
    """
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
