"""Quotas: the mean is never above the number, and every request is taken in the end."""

import pytest

from service.access.quota import Quota, Quotas
from service.access.token_file import Token
from service.errors import QuotaExceeded
from tests.kit.clock import Clock


def test_a_second_of_rows_at_once_then_the_rate() -> None:
    """One second's rows may come at once; afterwards the wait told is exactly the one that is needed."""
    clock = Clock()
    quota = Quota(100, clock)
    assert quota.take(60) == quota.take(40) == 0
    wait_seconds = quota.take(50)
    assert wait_seconds == pytest.approx(0.5)
    clock.now += wait_seconds
    assert quota.take(50) == 0
    assert quota.take(1) == pytest.approx(0.01)


def test_a_request_larger_than_a_second_goes_into_debt() -> None:
    """A request of more rows than a second's is taken by a full bucket, and the next waits until the debt is paid."""
    clock = Clock()
    quota = Quota(100, clock)
    assert quota.take(1000) == 0
    assert quota.take(1) == pytest.approx(9.01)
    clock.now += 9.01
    assert quota.take(1) == 0


def test_a_rest_does_not_add_up() -> None:
    """An idle hour allows one second's rows, not an hour's."""
    clock = Clock()
    quota = Quota(100, clock)
    clock.now += 3600
    assert quota.take(100) == 0
    assert quota.take(1) > 0


def test_quotas_belong_to_tokens() -> None:
    """Each token has its own bucket, which a reload keeps; a process of several has its share."""
    clock = Clock()
    quotas = Quotas(share=0.5, clock=clock)
    one, two, free = Token("one", b"1", rows_per_second=10), Token("two", b"2", rows_per_second=10), Token("free", b"3")
    quotas.take(one, 5)
    quotas.take(two, 5)
    quotas.take(free, 10**9)
    quotas.keep({"one", "two"})
    with pytest.raises(QuotaExceeded, match=r"'one' may send 10 rows a second.*send it again after 0.2 s") as caught:
        quotas.take(one, 1)
    assert caught.value.retry_after_seconds == pytest.approx(0.2)
    quotas.keep({"two"})
    quotas.take(one, 1)
