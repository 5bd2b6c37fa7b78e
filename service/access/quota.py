"""The quotas of tokens, in rows a second."""

import time
from collections.abc import Callable

from service.access.token_file import Token
from service.errors import QuotaExceeded
from service.quota import TokenBucket


class TokenQuotas:
    """The quotas of all tokens. A token's goes on when its file is taken anew, unless the number changes.

    Args:
        share: This process's part of each quota: 1 / N for one of N processes that serve the same callers.
        clock: Monotonic seconds.
    """

    def __init__(self, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._by_name: dict[str, TokenBucket] = {}

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
            quota = self._by_name[token.name] = TokenBucket(rate, self._clock)
        if wait_seconds := quota.take(rows):
            raise QuotaExceeded(
                f"the request has {rows} rows, and token {token.name!r} may send {token.rows_per_second:g} rows a "
                f"second; send it again after {wait_seconds:.3g} s, or ask the server's operator for a larger quota",
                wait_seconds,
            )

    def keep(self, names: set[str]) -> None:
        """Forget the tokens that are no longer in the file. Another thread may take rows meanwhile."""
        for name in list(self._by_name):
            if name not in names:
                self._by_name.pop(name, None)
