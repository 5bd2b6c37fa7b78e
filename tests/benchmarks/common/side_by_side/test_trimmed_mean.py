"""The mean of the rounds, and how sure it is, against SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.common.side_by_side import trimmed_mean


@pytest.mark.parametrize("count", [10, 30, 300])
def test_the_trimmed_mean_and_its_interval_are_scipys(count: int) -> None:
    """Of rounds with a disturbed one; the interval is 1.96 of SciPy's standard errors."""
    rounds = np.random.default_rng(count).normal(1.0, 3.0, count)
    rounds[0] = 400.0
    mean, half_width = trimmed_mean(rounds.tolist())
    assert mean == pytest.approx(stats.trim_mean(rounds, 0.2))
    error = stats.mstats.trimmed_stde(rounds, limits=(0.2, 0.2), inclusive=(True, True))
    assert half_width == pytest.approx(1.96 * float(error))


def test_one_round_is_not_sure() -> None:
    """Its interval has no end, so the next round follows."""
    assert trimmed_mean([2.0]) == (2.0, math.inf)
