"""What one model allows its callers: rows a second, and the time that a request may take."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Protocol

from service.batching.request import Follower, Result, Rows
from service.errors import DeadlineExceeded, QuotaExceeded
from service.quota.bucket import TokenBucket
from service.quota.quotas import Quotas
from service.settings import ModelTable


class Submit(Protocol):
    """Computes the rows of a request, as :meth:`service.batching.batcher.Batcher.submit` does."""

    async def __call__(
        self, rows: Rows, deadline: float | None = None, *, bulk: bool = False, follower: Follower | None = None
    ) -> Result:
        """Outputs for some rows."""


class Allowance:
    """The quota of a model and its ceiling for deadlines. Used on one event loop.

    Args:
        model: Name of the model. All of its versions share its quota.
        quotas: Those of all models; None if there are no others.
        clock: Monotonic seconds; deadlines are on it.
    """

    def __init__(
        self, model: str = "", quotas: Quotas | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._model = model
        self._quotas = quotas or Quotas(clock=clock)
        self._clock = clock
        self._rate: float | None = None
        self._quota: TokenBucket | None = None
        self._max_seconds: float | None = None

    @property
    def quota(self) -> TokenBucket | None:
        """The bucket of the quota, which versions of the model share as long as something holds it."""
        return self._quota

    def adopt(self, table: ModelTable) -> None:
        """Take the quota and the ceiling of a table. A quota that stays the same keeps what was used of it."""
        self._max_seconds = table.max_deadline_seconds
        self._rate = rate = table.quota_rows_per_second
        self._quota = None if rate is None else self._quotas.of(self._model, rate)

    def over(self, submit: Submit) -> Submit:
        """The same function within the quota and the ceiling; the function itself if there is neither.

        Args:
            submit: Computes rows.
        """
        if self._quota is None and self._max_seconds is None:
            return submit  # every request would pay for a function around it

        async def submit_within(
            rows: Rows, deadline: float | None = None, *, bulk: bool = False, follower: Follower | None = None
        ) -> Result:
            self._take(len(rows))
            if self._max_seconds is None:
                return await submit(rows, deadline, bulk=bulk, follower=follower)
            ceiling = self._clock() + self._max_seconds
            latest = min(ceiling, math.inf if deadline is None else deadline)
            try:
                async with asyncio.timeout(max(0.0, latest - self._clock())):
                    return await submit(rows, latest, bulk=bulk, follower=follower)
            except TimeoutError:
                why = (
                    "the call's deadline passed first"
                    if latest < ceiling
                    else f"this model's requests may take {self._max_seconds:g} s"
                )
                raise DeadlineExceeded(f"the rows were not computed in time: {why}") from None

        return submit_within

    def _take(self, rows: int) -> None:
        seconds = self._quota.take(rows) if self._quota is not None else 0.0
        if self._quota is not None and self._rate is not None and seconds:
            raise QuotaExceeded(
                f"{rows} rows are more than is left of the model's quota of {self._rate:g} rows a second; "
                f"come again after {seconds:.3g} s",
                seconds,
            )
