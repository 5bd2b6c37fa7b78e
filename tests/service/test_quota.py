"""A quota of rows: the mean rate holds, and every request can be accepted at some time."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.quota import Quotas, TokenBucket
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


def test_a_bucket_is_shared_while_it_is_held() -> None:
    """The same name and rate give the same bucket; once nobody holds it, a full one."""
    quotas = Quotas(clock=Clock())
    bucket = quotas.of("digits", 10)
    bucket.take(10)
    assert quotas.of("digits", 10) is bucket
    assert quotas.of("digits", 11).take(10) == 0
    assert quotas.of("wine", 10).take(10) == 0
    del bucket
    gc.collect()
    assert quotas.of("digits", 10).take(10) == 0


def test_each_of_several_processes_has_its_share() -> None:
    """One of four processes gives 10 of 40 rows a second."""
    clock = Clock()
    bucket = Quotas(0.25, clock).of("digits", 40)
    assert [bucket.take(10), bucket.take(1)] == [0, pytest.approx(0.1)]


def test_a_rate_is_told_with_the_share_of_a_worker() -> None:
    """Only where a process gives a part of it."""
    assert Quotas(1.0).of("digits", 100).told(100) == "100 rows a second"
    assert Quotas(0.5).of("digits", 100).told(100) == "100 rows a second, 50 of them by each worker"


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
