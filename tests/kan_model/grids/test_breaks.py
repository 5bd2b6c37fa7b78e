"""Breaks of one feature."""

import numpy as np
import pytest

from kan_model.grids.breaks import feature_breaks

OLD = np.linspace(-1, 1, 9)
STEP = 1e-12


def values(count: int = 500) -> np.ndarray:
    """Skewed, none twice."""
    return np.random.default_rng(0).exponential(size=count)


def test_breaks_are_numpys_quantiles_of_the_values() -> None:
    """Without mixture and margin the breaks are NumPy's quantiles, up to the hundredth that keeps intervals above 0."""
    x = values()
    inside = x[(x < np.quantile(x, 0.99))]
    got = feature_breaks(inside, OLD, 0.0, 0.0, STEP)
    wanted = 0.99 * np.quantile(inside, np.linspace(0, 1, 9)) + 0.01 * np.linspace(inside.min(), inside.max(), 9)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_an_even_share_of_one_is_an_even_grid_with_a_margin() -> None:
    """The domain goes a tenth of the values' width beyond them at each end."""
    x = values()
    got = feature_breaks(x, OLD, 1.0, 0.1, STEP)
    width = np.ptp(x)
    np.testing.assert_allclose(got, np.linspace(x.min() - 0.1 * width, x.max() + 0.1 * width, 9), rtol=1e-12)


@pytest.mark.parametrize("x", [np.full(5, 0.25), np.full(5, 0.25) + 1e-14 * np.arange(5)], ids=["equal", "nearly"])
def test_values_that_do_not_vary_keep_the_grid_that_holds_them(x: np.ndarray) -> None:
    """The very same breaks."""
    np.testing.assert_array_equal(feature_breaks(x, OLD, 0.2, 0.01, STEP), OLD)


@pytest.mark.parametrize(
    "x",
    [
        np.full(3, 1e4),
        np.array([0.0, 1.0]),
        np.array([0.0] * 400 + [1.0]),
        np.append(values(), 1e9),
        values() * 1e-9,
        values() + 1e9,
        values() * 1e30,
    ],
    ids=["equal, elsewhere", "two", "one other", "one far away", "tiny", "far from zero", "huge"],
)
def test_breaks_are_finite_and_ascend(x: np.ndarray) -> None:
    """The breaks are finite and ascending, whatever the values."""
    breaks = feature_breaks(x, OLD, 0.2, 0.01, STEP)
    assert breaks.shape == OLD.shape
    assert np.isfinite(breaks).all()
    assert (np.diff(breaks) > 0).all()
