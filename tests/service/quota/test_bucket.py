"""A quota of rows: the mean rate holds, and every request can be accepted at some time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.quota.bucket import TokenBucket
from tests.kit.clock import Clock

_RATES = st.floats(1e-3, 1e6)


def test_a_burst_of_one_second() -> None:
    """A fresh bucket gives the rows of one second, then as many as come in."""
    clock = Clock()
    bucket = TokenBucket(10, clock)
    assert [bucket.take(5), bucket.take(5)] == [0, 0]
    assert bucket.take(1) == pytest.approx(0.1)
    clock.now += 0.5
    assert bucket.take(5) == 0
    clock.now += 3600
    assert [bucket.take(10), bucket.take(1)] == [0, pytest.approx(0.1)]


def test_a_large_request_leaves_a_debt() -> None:
    """25 rows at 10 a second need a full bucket, and the next row comes 1.6 s later."""
    clock = Clock()
    bucket = TokenBucket(10, clock)
    assert [bucket.take(25), bucket.take(1)] == [0, pytest.approx(1.6)]
    clock.now += 1.6
    assert [bucket.take(1), bucket.take(25)] == [0, pytest.approx(1.0)]


@given(_RATES, st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 10)), max_size=40))
def test_the_mean_rate_holds(rate: float, requests: list[tuple[int, float]]) -> None:
    """Whatever comes and when, no more is accepted than a burst, the rate times the time, and one request's debt."""
    clock = Clock()
    bucket = TokenBucket(rate, clock)
    accepted, largest = 0, 0
    for rows, seconds in requests:
        clock.now += seconds
        if bucket.take(rows) == 0:
            accepted, largest = accepted + rows, max(largest, rows)
    elapsed_seconds = clock.now - Clock().now
    assert accepted <= (rate * (1 + elapsed_seconds) + largest) * (1 + 1e-6)


@given(_RATES, st.lists(st.integers(1, 10_000), min_size=1, max_size=20))
def test_the_told_time_is_enough(rate: float, requests: list[int]) -> None:
    """A caller that comes back after the seconds that it was told is accepted, at any rate."""
    clock = Clock(0.0)
    bucket = TokenBucket(rate, clock)
    for rows in requests:
        if seconds := bucket.take(rows):
            clock.now += seconds
            assert bucket.take(rows) == 0
