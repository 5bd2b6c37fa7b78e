"""Ranks, ratios and intervals, against numbers worked out by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import gmean

from benchmarks.tables.report.compare import Measured, error_ratio, loss_difference, mean_ranks

CAPPED = math.inf


def _measured(*, is_classification: bool = False, trivial: float = 1.0, **errors: Sequence[float]) -> Measured:
    splits = len(next(iter(errors.values())))
    return Measured(
        is_classification, {name: np.array(each) for name, each in errors.items()}, np.full(splits, trivial)
    )


def test_ranks_are_those_of_the_mean_errors() -> None:
    """The best of three on one table and the last on the other has rank 2; equal errors share their ranks."""
    tables = [_measured(a=[1, 1], b=[3, 2], c=[2, 3]), _measured(a=[9, 9], b=[4, 4], c=[5, 5])]
    ranks = mean_ranks(tables, ["a", "b", "c"])
    assert [ranks[name].value for name in "abc"] == [2.0, (2.5 + 1) / 2, (2.5 + 2) / 2]


def test_a_fit_that_was_cut_off_ranks_last() -> None:
    """Even if it was the best on the other splits; two such share the last ranks."""
    ranks = mean_ranks([_measured(a=[1, 1], b=[2, 2], c=[0, CAPPED], d=[CAPPED, CAPPED])], ["a", "b", "c", "d"])
    assert [ranks[name].value for name in "abcd"] == [1, 2, 3.5, 3.5]


def test_ratio_is_the_geometric_mean_over_splits_and_tables() -> None:
    """Of regressions only, each table once, however it is scaled."""
    tables = [
        _measured(a=[2, 4], b=[1, 8]),
        _measured(a=[300, 300], b=[100, 100]),
        _measured(is_classification=True, a=[1], b=[7]),
    ]
    found = error_ratio(tables, "a", "b")
    assert found.value == pytest.approx(gmean([gmean([2, 0.5]), 3]))
    assert found.tables == 2


def test_tables_that_a_peer_did_not_finish_leave_its_ratio() -> None:
    """They stay in the ratio to another peer."""
    tables = [_measured(a=[2, 2], b=[1, CAPPED], c=[1, 1]), _measured(a=[3, 3], b=[1, 1], c=[3, 3])]
    assert error_ratio(tables, "a", "b").value == pytest.approx(3)
    assert error_ratio(tables, "a", "c").value == pytest.approx(math.sqrt(2))
    assert math.isnan(error_ratio(tables[:1], "a", "b").value)


def test_loss_difference_is_in_units_of_the_trivial_loss() -> None:
    """A difference of 0.1 counts twice as much where class frequencies alone give 0.5 as where they give 1."""
    tables = [
        _measured(is_classification=True, trivial=1.0, a=[0.4, 0.4], b=[0.3, 0.3]),
        _measured(is_classification=True, trivial=0.5, a=[0.3, 0.1], b=[0.2, 0.0]),
        _measured(a=[1, 1], b=[9, 9]),
    ]
    found = loss_difference(tables, "a", "b")
    assert found.value == pytest.approx((0.1 + 0.2) / 2)
    assert found.tables == 2


def test_interval_is_that_of_the_mean() -> None:
    """Of 40 tables whose log ratios spread by 0.2 it is about 4 standard errors wide, and holds the ratio itself."""
    ratios = np.exp(np.random.default_rng(0).normal(0.0, 0.2, size=40))
    found = error_ratio([_measured(a=[ratio], b=[1]) for ratio in ratios], "a", "b")
    assert found.low < found.value < found.high
    assert math.log(found.high / found.low) == pytest.approx(2 * 1.96 * np.log(ratios).std() / math.sqrt(40), rel=0.1)


def test_interval_counts_the_noise_of_splits() -> None:
    """One table has an interval if its splits differ, and none if they agree; the same call gives the same interval."""
    noisy = [_measured(a=[1, 2, 3, 4], b=[2, 2, 2, 2])]
    assert error_ratio(noisy, "a", "b").low < error_ratio(noisy, "a", "b").high
    assert error_ratio(noisy, "a", "b") == error_ratio(noisy, "a", "b")
    same = error_ratio([_measured(a=[3, 3], b=[2, 2])], "a", "b")
    assert same.low == pytest.approx(same.high) == pytest.approx(1.5)
