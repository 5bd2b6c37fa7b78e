"""Messages on standard error, and below them one line of progress on a terminal while a long table is answered."""

import re
import time
from collections.abc import Callable
from typing import Final, TextIO

# A table that takes less time needs no line.
_FIRST_SECONDS: Final = 3.0
_EVERY_SECONDS: Final = 0.5
_EVERY_WAIT_SECONDS: Final = 30.0
_CLEAR: Final = "\r\x1b[K"
# Advice behind it then stands alone: "; send it again after 5 s, or ask" becomes "; ask".
_SHORTEST_WAIT: Final = re.compile(r"; (?:send it|come) again after \S+ s\b(, or)?")


class Progress:
    """A line of progress that is replaced every half second, after the first three seconds.

    Args:
        stream: standard error.
        is_shown: whether there is a line at all: the stream is a terminal, and the answers go elsewhere.
        clock: gives monotonic seconds.
    """

    def __init__(self, stream: TextIO, is_shown: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._is_shown = is_shown
        self._clock = clock
        self._start = clock()
        self._next = self._start + _FIRST_SECONDS
        self._is_visible = False
        self._rows = 0
        self._waited_seconds = 0.0
        self._next_wait = self._start

    def show(self, rows: int, share: float | None) -> None:
        """Show how many rows are answered, and what share of the file that is if it is known."""
        self._rows = rows
        if not self._is_shown or (now := self._clock()) < self._next:
            return
        self._next = now + _EVERY_SECONDS
        percent = f" ({share:.0%} of the file)" if share is not None else ""
        rate = rows / (now - self._start)
        self._stream.write(f"{_CLEAR}kan-client: {rows:,} rows{percent}, {rate:,.0f} a second")
        self._stream.flush()
        self._is_visible = True

    def wait(self, seconds: float, refusal: Exception) -> None:
        """Say that the server asks for a wait: once such waits take long together, and again every half minute."""
        self._waited_seconds += seconds
        if self._waited_seconds >= _FIRST_SECONDS and (now := self._clock()) >= self._next_wait:
            self._next_wait = now + _EVERY_WAIT_SECONDS
            # The refusal tells the shortest wait. A second number of seconds would only confuse.
            why = _SHORTEST_WAIT.sub(lambda wait: ";" if wait[1] else "", str(refusal))
            self.tell(f"{self._rows:,} rows are answered; waiting {seconds:.3g} s: {why}")

    def tell(self, message: str) -> None:
        """Write a message on a line of its own, where the line of progress was."""
        self.close()
        self._stream.write(f"kan-client: {' '.join(message.split())}\n")
        self._stream.flush()

    def close(self) -> None:
        """Remove the line of progress."""
        if self._is_visible:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._is_visible = False
