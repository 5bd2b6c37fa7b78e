"""How fast a caller sends where others send too: fewer rows a request after each refusal, and growing waits.

A server that is full refuses at once and says when there will be room. Callers who come back together would meet
again, so each waits a little longer than it was told, by a random share, twice as long after each refusal in a row. The
rows of a request are halved by a refusal and grow by an eighth of the most with each answer (additive increase,
multiplicative decrease), so that callers come to equal shares whose sum fits.

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
        most_rows: of one request.

    Attributes:
        rows: how many rows the next request may bring.
    """

    def __init__(self, most_rows: int) -> None:
        self.rows = self._most_rows = most_rows
        self._refusals = 0  # in a row

    def answered(self) -> None:
        """A request was answered."""
        self._refusals = 0
        self.rows = min(self._most_rows, self.rows + max(1, self._most_rows // _SHARES))

    def refused(self, error: Overloaded) -> Pause:
        """A request was refused: the wait before the next.

        Raises:
            Overloaded: the error itself, where waiting is of no use.
        """
        if error.retry_after_seconds is None:
            raise error
        self._refusals += 1
        self.rows = max(1, self._most_rows // _LEAST_SHARE, self.rows // 2)
        grown = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** (self._refusals - 1))
        seconds = max(error.retry_after_seconds, grown) * random.uniform(1.0, 1.5)
        return Pause(error, error.retry_after_seconds, seconds)
