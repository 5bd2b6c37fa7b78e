"""The simulation against queueing theory: closed forms where there are some, exact bookkeeping where there are none."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from benchmarks.capacity.arrivals import Arrivals, poisson
from benchmarks.capacity.simulation import BALANCERS, Balancer, Fleet, Loss, Outcome, RunSeconds, simulate

COUNT = 200_000
ONE_BY_ONE = Fleet(1, max_batch_rows=1, max_queue_rows=10**9)


def _exponential(mean_seconds: float) -> RunSeconds:
    numbers = random.Random(1)
    return lambda _, __: numbers.expovariate(1 / mean_seconds)


def _mean(outcome: Outcome) -> float:
    return float(outcome.latency_seconds.mean())


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_by_one_at_a_constant_pace_is_m_d_1(load: float) -> None:
    """Mean wait is ρD / 2(1 - ρ) (Pollaczek, Khinchine), the share that never waits 1 - ρ, utilisation ρ."""
    outcome = simulate(poisson(load, COUNT), ONE_BY_ONE, lambda _, __: 1.0)
    assert _mean(outcome) - 1 == pytest.approx(load / (2 * (1 - load)), rel=0.03)
    assert (outcome.latency_seconds < 1 + 1e-9).mean() == pytest.approx(1 - load, rel=0.02)
    assert outcome.utilisation == pytest.approx(load, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_by_one_with_exponential_runs_is_m_m_1(load: float) -> None:
    """Time in the service is exponential with rate µ - λ: its mean and every percentile."""
    outcome = simulate(poisson(load, COUNT), ONE_BY_ONE, _exponential(1.0))
    assert _mean(outcome) == pytest.approx(1 / (1 - load), rel=0.03)
    for percent in (50, 95, 99):
        wanted = -math.log(1 - percent / 100) / (1 - load)
        assert outcome.percentile_seconds(percent) == pytest.approx(wanted, rel=0.05)


def test_bounded_queue_sheds_as_m_m_1_k() -> None:
    """With room for K requests in all, the share refused is (1 - ρ) ρ^K / (1 - ρ^(K + 1)), overloaded too."""
    for load, room in ((0.8, 5), (1.5, 10)):
        outcome = simulate(poisson(load, COUNT), replace(ONE_BY_ONE, max_queue_rows=room - 1), _exponential(1.0))
        wanted = (1 - load) * load**room / (1 - load ** (room + 1))
        assert outcome.refused_share == pytest.approx(wanted, rel=0.03)
        assert np.isnan(outcome.latency_seconds).sum() == outcome.shed


@pytest.mark.parametrize("load", [0.5, 2.0, 5.0])
def test_all_that_wait_run_together(load: float) -> None:
    """Runs of constant time D without a bound: who finds one under way (λD of λD + exp(-λD)) waits for its end, a
    uniform share of D, and then for his own; a run has λD + exp(-λD) rows on average. By hand: what came during a run
    is Poisson, and whoever finds nothing running is run alone.
    """
    outcome = simulate(poisson(load, COUNT), Fleet(1, max_batch_rows=10**9, max_queue_rows=10**9), lambda _, __: 1.0)
    rows = load + math.exp(-load)
    found_busy = load / rows
    assert outcome.rows_a_run == pytest.approx(rows, rel=0.01)
    assert _mean(outcome) == pytest.approx(1 + found_busy / 2, rel=0.01)
    assert outcome.percentile_seconds(99) == pytest.approx(2 - 0.01 / found_busy, rel=0.01)


def test_random_balancer_splits_a_poisson_process() -> None:
    """By chance over N replicas, each is an M/M/1 of its own."""
    outcome = simulate(poisson(4 * 0.6, COUNT), replace(ONE_BY_ONE, replicas=4, balancer="random"), _exponential(1.0))
    assert _mean(outcome) == pytest.approx(1 / (1 - 0.6), rel=0.03)


def test_round_robin_is_an_erlang_queue() -> None:
    """In turn over two, gaps of each are Erlang-2: the mean wait of GI/M/1 with the root σ = (2λ / (2λ + 1 - σ))²."""
    load = 0.7
    outcome = simulate(
        poisson(2 * load, COUNT), replace(ONE_BY_ONE, replicas=2, balancer="round robin"), _exponential(1.0)
    )
    sigma = brentq(lambda s: (2 * load / (2 * load + 1 - s)) ** 2 - s, 0, 1 - 1e-9)
    assert _mean(outcome) == pytest.approx(1 / (1 - sigma), rel=0.03)


def test_least_requests_is_the_power_of_two_choices() -> None:
    """Over many replicas, the mean time in the service is Σ ρ^(2^i - 2), i ≥ 1 (Mitzenmacher 1996)."""
    load = 0.8
    fleet = replace(ONE_BY_ONE, replicas=100, balancer="least requests")
    outcome = simulate(poisson(100 * load, COUNT), fleet, _exponential(1.0))
    assert _mean(outcome) == pytest.approx(sum(load ** (2**i - 2) for i in range(1, 12)), rel=0.03)


@pytest.mark.parametrize("balancer", BALANCERS)
@pytest.mark.parametrize("loss", [None, Loss(1.0, 0.5)])
def test_bookkeeping(balancer: Balancer, loss: Loss | None) -> None:
    """Little's law holds exactly from an empty start to an empty end, and without a loss the busy time is what the
    costs say: each request and each row once, each run once; long requests are split and a lost replica's tried again.
    """
    numbers = np.random.default_rng(2)
    calm = poisson(3000, 6000)
    arrivals = Arrivals(calm.seconds, numbers.integers(1, 200, 6000))
    fleet = Fleet(3, balancer, max_batch_rows=64, max_queue_rows=10**9)
    outcome = simulate(arrivals, fleet, lambda requests, rows: 1e-4 * requests + 2e-4 + 1e-6 * rows, loss)
    assert outcome.refused_share == 0
    assert outcome.inside * outcome.end_seconds == pytest.approx(outcome.latency_seconds.sum(), rel=1e-9)
    if loss is None:
        rows = arrivals.rows.sum()
        busy_seconds = 1e-4 * 6000 + 2e-4 * rows / outcome.rows_a_run + 1e-6 * rows
        assert outcome.utilisation * 3 * outcome.end_seconds == pytest.approx(busy_seconds, rel=1e-9)


def _at(*seconds: float, rows: int = 1) -> Arrivals:
    return Arrivals(np.array(seconds), np.full(len(seconds), rows))


def test_next_run_takes_what_waits_up_to_its_bound() -> None:
    """Four in turn, runs of a second for two rows at most: the second run has the next two, the third the last."""
    outcome = simulate(_at(0, 0.1, 0.2, 0.3), Fleet(1, max_batch_rows=2), lambda _, __: 1.0)
    assert outcome.latency_seconds == pytest.approx([1, 1.9, 1.8, 2.7])
    assert outcome.rows_a_run == pytest.approx(4 / 3)


def test_long_request_runs_in_blocks_and_pays_once() -> None:
    """Five rows in blocks of two are three runs; the request's own cost comes once."""
    fleet = Fleet(1, max_batch_rows=2)
    outcome = simulate(_at(0, rows=5), fleet, lambda requests, rows: 10.0 * requests + rows)
    assert outcome.latency_seconds == pytest.approx([15])


def test_queue_is_bounded_in_rows_that_wait() -> None:
    """Ten rows may wait: of four requests of four while one runs, two fit; what runs does not count any more."""
    fleet = Fleet(1, max_batch_rows=4, max_queue_rows=10)
    outcome = simulate(_at(0, 0.1, 0.2, 0.3, 0.4, 1.1, 1.2, rows=4), fleet, lambda _, __: 1.0)
    assert np.isnan(outcome.latency_seconds).tolist() == [False, False, False, True, True, False, True]
    assert (outcome.shed, outcome.failed) == (2 + 1, 0)


def test_lost_replica_and_its_return() -> None:
    """What ran and waited on a killed replica is run by another 5 ms later; after its return it is asked again."""
    arrivals = _at(0.0, 0.0, 0.1, 0.1, 0.6, 10.0, 10.0)
    fleet = Fleet(2, "round robin", max_batch_rows=1)
    outcome = simulate(arrivals, fleet, lambda _, __: 1.0, Loss(0.5, 5.0))
    # In turn over A and B: B has one that runs and one that waits when it is lost; A then has five, one after another.
    assert sorted(outcome.latency_seconds[:5] + arrivals.seconds[:5]) == pytest.approx([1, 2, 3, 4, 5])
    assert outcome.latency_seconds[5:] == pytest.approx([1, 1])
    assert outcome.failed == 0
    assert outcome.utilisation == pytest.approx((7 + 0.5) / (2 * 11 - 5))


def test_lost_request_is_tried_again_after_a_pause() -> None:
    """Killed half a second into its run of one, it starts anew 5 ms later: Envoy's first pause, on average."""
    outcome = simulate(_at(0), Fleet(2, "round robin"), lambda _, __: 1.0, Loss(0.5, 5.0))
    assert outcome.latency_seconds == pytest.approx([1.505])


def test_lost_replica_without_another_fails_its_requests() -> None:
    """One replica alone: who is with it or comes while it is away gets no answer, who comes later does."""
    outcome = simulate(_at(0, 1, 2, 9), Fleet(1), lambda _, __: 0.6, Loss(1.5, 5))
    assert np.isnan(outcome.latency_seconds).tolist() == [False, True, True, False]
    assert (outcome.failed, outcome.shed) == (2, 0)
