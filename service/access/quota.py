"""A quota of rows a second: a token bucket that may go into debt for one request."""

import time
from collections.abc import Callable

from service.access.token_file import Token
from service.errors import QuotaExceeded


class Quota:
    """Rows a second, of which one second's may come at once.

    A request of more rows than that is taken once the bucket is full. The rows beyond are a debt, and the next request
    waits until it is paid. So any request is taken in the end, and the mean is never above the quota.

    Args:
        rows_per_second: The mean.
        clock: Monotonic seconds.
    """

    def __init__(self, rows_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rows_per_second = rows_per_second
        self._clock = clock
        self._most = max(1.0, rows_per_second)
        self._rows = self._most
        self._filled_at = clock()

    def take(self, rows: int) -> float:
        """Take rows out of the bucket.

        Returns:
            0 if they were taken; else the seconds after which they may be, and nothing was taken.
        """
        now = self._clock()
        self._rows = min(self._most, self._rows + (now - self._filled_at) * self.rows_per_second)
        self._filled_at = now
        missing = min(float(rows), self._most) - self._rows
        if missing > 1e-9 * self._most:
            return missing / self.rows_per_second
        self._rows -= rows
        return 0.0


class Quotas:
    """The quotas of all tokens. A token's goes on when its file is taken anew, unless the number changes.

    Args:
        share: This process's part of each quota: 1 / N for one of N processes that serve the same callers.
        clock: Monotonic seconds.
    """

    def __init__(self, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._by_name: dict[str, Quota] = {}

    def take(self, token: Token, rows: int) -> None:
        """Count rows of a request against the token's quota.

        Raises:
            QuotaExceeded: They are too many for now.
        """
        if token.rows_per_second is None:
            return
        rate = token.rows_per_second * self._share
        quota = self._by_name.get(token.name)
        if quota is None or quota.rows_per_second != rate:
            quota = self._by_name[token.name] = Quota(rate, self._clock)
        if wait_seconds := quota.take(rows):
            raise QuotaExceeded(
                f"the request has {rows} rows, and token {token.name!r} may send {token.rows_per_second:g} rows a "
                f"second; send it again after {wait_seconds:.3g} s, or ask the server's operator for a larger quota",
                wait_seconds,
            )

    def keep(self, names: set[str]) -> None:
        """Forget the tokens that are no longer in the file."""
        self._by_name = {name: quota for name, quota in self._by_name.items() if name in names}
