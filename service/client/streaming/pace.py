"""The sending rate of one caller among others: after a refusal, fewer rows a request and a longer wait.

A full server refuses at once and says when there will be room. Callers that wait equally long would collide again. So
each waits longer than the server says, by a random factor from 1 to 1.5, and at least 0.025 s. This least wait doubles
with each refusal in a row, up to 5 s.

A refusal halves the rows of a request. An answer adds an eighth of the largest request. This is additive increase and
multiplicative decrease: the callers converge to equal shares that fit the server. Example with at most 512 rows: after
a refusal 256, after each answer 64 more, so 512 again after four answers.

Source: Chiu and Jain 1989, "Analysis of the increase and decrease algorithms for congestion avoidance".
"""

import random
from typing import Final

from service.client.connection import Pause
from service.client.errors import Overloaded

_FIRST_WAIT_SECONDS: Final = 0.025
_LONGEST_WAIT_SECONDS: Final = 5.0
_SHARES: Final = 8
_LEAST_SHARE: Final = 16


class Pace:
    """Rows a request and waits of one caller.

    Args:
        most_rows: most rows of one request.

    Attributes:
        rows: most rows of the next request.
    """

    def __init__(self, most_rows: int) -> None:
        self.rows = self._most_rows = most_rows
        self._refusals = 0  # in a row

    def count_answer(self) -> None:
        """A request was answered."""
        self._refusals = 0
        self.rows = min(self._most_rows, self.rows + max(1, self._most_rows // _SHARES))

    def count_refusal(self, error: Overloaded) -> Pause:
        """A request was refused.

        Returns:
            The wait before the next request.

        Raises:
            Overloaded: the error itself, when the server says that another try would fail too.
        """
        if error.retry_after_seconds is None:
            raise error
        self._refusals += 1
        self.rows = max(1, self._most_rows // _LEAST_SHARE, self.rows // 2)
        least = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** (self._refusals - 1))
        seconds = max(error.retry_after_seconds, least) * random.uniform(1.0, 1.5)
        return Pause(seconds, error, error.retry_after_seconds)


def backoff_seconds(failures: int) -> float:
    """How long to wait after that many attempts without an answer; the same times as in gRPC's own retries."""
    return min(1.0, 0.1 * 2.0 ** (failures - 1)) * random.uniform(0.8, 1.2)
