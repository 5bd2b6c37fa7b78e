"""What a model allows its callers: its quota and its ceiling for deadlines."""

import asyncio
import math
import time

import numpy as np
import pytest

from service.batching.request import Follower, Result, Rows
from service.errors import DeadlineExceeded, QuotaExceeded
from service.quota.quotas import Quotas
from service.registry.model.allowance import Allowance, Submit
from service.settings import ModelTable
from tests.kit.clock import Clock

_ROWS = np.ones((10, 2), np.float32)
_Deadlines = list[float | None]


def _submit(deadlines: _Deadlines) -> Submit:
    async def submit(
        rows: Rows, deadline: float | None = None, *, bulk: bool = False, follower: Follower | None = None
    ) -> Result:
        deadlines.append(deadline)
        return Result((rows,), 0.0, 0.0)

    return submit


def test_without_a_table_nothing_is_around_the_batcher() -> None:
    """The function that is called is the batcher's own, so no request pays for what it does not use."""
    submit = _submit([])
    allowance = Allowance()
    assert allowance.over(submit) is submit
    allowance.adopt(ModelTable(priority=3))
    assert allowance.over(submit) is submit


def test_a_quota_refuses_and_tells_when_to_come_again() -> None:
    """Rows beyond it are refused, and accepted after the told time."""
    clock = Clock()
    allowance = Allowance(clock=clock)
    allowance.adopt(ModelTable(quota_rows_per_second=10))
    submit = allowance.over(_submit([]))

    async def check() -> None:
        await submit(_ROWS)
        with pytest.raises(QuotaExceeded, match="10 rows a second") as caught:
            await submit(_ROWS)
        assert caught.value.retry_after_seconds == pytest.approx(1)
        clock.now += caught.value.retry_after_seconds
        await submit(_ROWS)

    asyncio.run(check())


def test_a_quota_that_stays_keeps_its_state() -> None:
    """New settings with the same quota do not give another burst; another quota begins anew."""
    allowance = Allowance(clock=Clock())

    async def check() -> None:
        for rate, ok in ((10, True), (10, False), (11, True), (None, True)):
            allowance.adopt(ModelTable(quota_rows_per_second=rate))
            asked = allowance.over(_submit([]))(_ROWS)
            if ok:
                await asked
            else:
                with pytest.raises(QuotaExceeded):
                    await asked

    asyncio.run(check())


def test_versions_of_a_model_share_its_quota() -> None:
    """Callers cannot have more by naming another version, and a new version does not begin with a new burst."""
    quotas = Quotas(clock=Clock())

    async def check() -> None:
        table = ModelTable(quota_rows_per_second=10)
        kept = []
        for model, ok in (("digits", True), ("digits", False), ("wine", True)):
            kept.append(Allowance(model, quotas))
            kept[-1].adopt(table)
            asked = kept[-1].over(_submit([]))(_ROWS)
            if ok:
                await asked
            else:
                with pytest.raises(QuotaExceeded):
                    await asked

    asyncio.run(check())


def test_a_ceiling_cuts_deadlines_and_gives_one() -> None:
    """A call without a deadline gets the ceiling, a later deadline is cut to it, and a sooner one stays."""
    clock = Clock()
    deadlines: _Deadlines = []
    allowance = Allowance(clock=clock)
    allowance.adopt(ModelTable(max_deadline_seconds=5))
    submit = allowance.over(_submit(deadlines))

    async def check() -> None:
        for deadline in (None, math.inf, clock.now + 9, clock.now + 2):
            await submit(_ROWS, deadline)
        assert deadlines == [clock.now + 5] * 3 + [clock.now + 2]

    asyncio.run(check())


def test_a_run_that_hangs_ends_at_the_ceiling() -> None:
    """The caller gets DEADLINE_EXCEEDED though it named no deadline, and the batcher is told that it has gone.

    Of a sooner deadline of the caller's own, the message says so.
    """
    allowance = Allowance()
    allowance.adopt(ModelTable(max_deadline_seconds=0.01))
    gone: list[bool] = []

    async def hang(
        rows: Rows, deadline: float | None = None, *, bulk: bool = False, follower: Follower | None = None
    ) -> Result:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            gone.append(True)
            raise
        raise AssertionError

    async def check() -> None:
        with pytest.raises(DeadlineExceeded, match=r"0\.01 s"):
            await allowance.over(hang)(_ROWS)
        assert gone == [True]
        with pytest.raises(DeadlineExceeded, match="the call's deadline passed first"):
            await allowance.over(hang)(_ROWS, time.monotonic() + 0.001)

    asyncio.run(check())
