"""Tells a person how far a search for a formula is: hundreds of edges take many minutes."""

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

# A line each 10 s at first, so that nobody thinks that it hangs; then each half minute.
_SOON_SECONDS, _LATER_SECONDS = 10.0, 30.0
_SOON_UNTIL = 60.0
# A pipe that nobody empties holds the thread for ever, and may not hold the end.
_LONGEST_END_SECONDS = 1.0
_COUNTED = re.compile(r"^(.*), (\d+) edges?$")


class SearchProgress:
    """Passes on what a search tells, and says from time to time how long the last step has taken.

    A thread of its own speaks, because some steps of a search give no sign for minutes.

    Args:
        tell: Gets each line.
        now: Monotonic seconds.
        soon_seconds: Between lines in the first minute.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
        soon_seconds: float = _SOON_SECONDS,
    ) -> None:
        self._tell, self._now, self._soon_seconds = tell, now, soon_seconds
        self._step, self._begun, self._pieces = "", now(), 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._speak, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_LONGEST_END_SECONDS)

    def begin(self, step: str) -> None:
        """Pass on the line of a step that begins."""
        self._step, self._begun, self._pieces = step, self._now(), 0
        self._tell(step)

    def count(self) -> None:
        """Count the next piece of the step, such as an edge."""
        self._pieces += 1

    def line(self) -> str:
        """How far the step is. Example: "symbolic: layer 0: 37 of 512 edges after 45 s, about 10 minutes more"."""
        seconds = self._now() - self._begun
        found = _COUNTED.match(self._step)
        done = self._pieces - 1  # the last one has only begun
        if found is None or not 0 < done < int(found[2]):
            return f"{self._step}: goes on, {_duration(seconds)} so far"
        more = seconds / done * (int(found[2]) - done)
        return f"{found[1]}: {done} of {found[2]} edges after {_duration(seconds)}, about {_duration(more)} more"

    def _speak(self) -> None:
        start = self._now()
        while not self._over.wait(self._soon_seconds if self._now() - start < _SOON_UNTIL else _LATER_SECONDS):
            if self._step:
                with suppress(OSError, ValueError):  # the reader is gone, or the stream closed; the search goes on
                    self._tell(self.line())


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
