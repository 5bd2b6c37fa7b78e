"""Requests that wait for a quota as long as the server says."""

import time
from collections.abc import Callable
from typing import TypeVar

from service.client.errors import Overloaded
from service.client.streaming.pace import Pace

# Then another try tells whether the server still asks for the same.
_LONGEST_WAIT_SECONDS = 86400.0

_Answer = TypeVar("_Answer")


class Patience:
    """Sends requests that a quota or a full server refuses again, after each wait that the server asks for.

    Args:
        tell: is called before each wait, with its seconds and the refusal.
        longest_seconds: longest wait for one request; None waits for ever.
    """

    def __init__(self, tell: Callable[[float, Overloaded], None], longest_seconds: float | None) -> None:
        self._tell = tell
        self._longest_seconds = longest_seconds

    def answer(self, ask: Callable[[], _Answer], pace: Pace) -> _Answer:
        """The answer to a request.

        Args:
            ask: sends it once.
            pace: counts answers and refusals.

        Raises:
            Overloaded: when the wait would be too long, or another try would fail too.
        """
        waited_seconds = 0.0
        while True:
            try:
                answer = ask()
            except Overloaded as refusal:
                pause = pace.count_refusal(refusal)
                if self._longest_seconds is not None and waited_seconds + pause.least > self._longest_seconds:
                    raise
                seconds = min(pause.seconds, _LONGEST_WAIT_SECONDS)
                self._tell(seconds, refusal)
                time.sleep(seconds)
                waited_seconds += seconds
            else:
                pace.count_answer()
                return answer
