"""The quotas of tokens, in rows a second."""

from service.access.token_file import Token
from service.errors import QuotaExceeded
from service.quota.bucket import TokenBucket
from service.quota.quotas import Quotas


class TokenQuotas:
    """The quotas of all tokens. A token's goes on when its file is taken anew.

    Args:
        quotas: Gives the buckets; None for those of a process that is alone.
    """

    def __init__(self, quotas: Quotas | None = None) -> None:
        self._quotas = quotas or Quotas()
        # Held here, so that an unused one stays as it is until its token is taken away.
        self._held: dict[str, TokenBucket] = {}

    def take(self, token: Token, rows: int) -> None:
        """Count rows of a request against the token's quota.

        Raises:
            QuotaExceeded: They are too many for now.
        """
        if token.rows_per_second is None:
            return
        bucket = self._held[token.name] = self._quotas.of(token.name, token.rows_per_second)
        if wait_seconds := bucket.take(rows):
            raise QuotaExceeded(
                f"the request has {rows} rows, and token {token.name!r} may send {token.rows_per_second:g} rows a "
                f"second; send it again after {wait_seconds:.3g} s, or ask the server's operator for a larger quota",
                wait_seconds,
            )

    def keep(self, names: set[str]) -> None:
        """Forget the tokens that are no longer in the file. Another thread may take rows meanwhile."""
        for name in list(self._held):
            if name not in names:
                self._held.pop(name, None)
