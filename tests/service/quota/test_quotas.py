"""The quotas in use: who shares a bucket, in one process and among several."""

import gc
from contextlib import closing

import pytest

from service.quota.levels import Levels
from service.quota.quotas import Quotas
from tests.kit.clock import Clock


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


def test_processes_share_a_bucket_by_kind_and_name() -> None:
    """What one gives, the other does not give again, also after a restart and at another rate."""
    clock = Clock()
    with closing(Levels()) as levels:
        here, there = Quotas("token", levels, clock), Quotas("token", Levels(levels.descriptor), clock)
        assert here.of("alice", 10).take(7) == 0
        assert there.of("alice", 10).take(4) == pytest.approx(0.1)
        assert there.of("alice", 10).take(3) == 0
        gc.collect()
        again = Quotas("token", Levels(levels.descriptor), clock)
        assert again.of("alice", 5).take(1) == pytest.approx(0.2)
        clock.now += 0.5
        assert [here.of("alice", 10).take(5), again.of("alice", 10).take(1)] == [0, pytest.approx(0.1)]
        assert again.of("bob", 10).take(10) == Quotas("model", levels, clock).of("alice", 10).take(10) == 0
