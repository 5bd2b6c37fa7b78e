"""The learning rate over the steps of a grid."""

import math

import pytest

from training.fitting.schedule import rate_at


def test_cosine_is_the_rate_of_before() -> None:
    """To the bit: a recipe without the key gives the same network."""
    for step in range(200):
        share = step / 200
        assert 0.01 * rate_at("cosine", share) == 0.01 * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


def test_warm_up_rises_and_falls_to_zero() -> None:
    """It is largest at 5 % of the steps, never 0 before the end, and 0 at the end."""
    rates = [rate_at("warm-up", share / 1000) for share in range(1001)]
    assert max(range(1001), key=rates.__getitem__) == pytest.approx(50, abs=2)
    assert 0 < rates[0] < 0.05
    assert all(rate > 0 for rate in rates[:-1])
    assert rates[-1] == pytest.approx(0, abs=1e-12)
