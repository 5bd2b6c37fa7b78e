"""Breaks of one feature."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kan_model import KAN
from kan_model.grids.breaks import feature_breaks, layer_breaks

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


@pytest.mark.parametrize(
    "x",
    [
        np.full(5, 0.25),
        0.25 + 1e-14 * np.arange(5),
        0.25 + 1e-12 * np.array([0.0, 1.0]),
        np.full(5, -1.0),
        np.full(5, 1.0),
        np.array([0.0, 5e-324]),
    ],
    ids=["equal", "nearly", "narrower than eight of the smallest intervals", "first break", "last break", "denormal"],
)
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


@pytest.mark.parametrize("value", [40.0, -40.0])
def test_an_equal_value_elsewhere_moves_the_grid_there(value: float) -> None:
    """As wide as before, the value in its middle."""
    np.testing.assert_allclose(feature_breaks(np.full(5, value), OLD, 0.2, 0.01, STEP), value + OLD, rtol=1e-12)


@pytest.mark.parametrize(
    "x",
    [
        np.full(5, 1e8),
        np.full(5, -1e8),
        1e8 + values(),
        -1e8 - values(),
        1e6 + np.append(values(), 1000.0 + 100 * values()),
        np.append(-1e6 - values(), -1e6 - 1000.0 - 100 * values()),
    ],
    ids=["equal", "equal below", "narrow", "narrow below", "two heaps", "two heaps below"],
)
def test_breaks_are_as_far_apart_as_the_float_type_asks(x: np.ndarray) -> None:
    """64 spacings of float32 at the largest value: beyond 2**24 even neighbouring whole numbers are one number."""
    step = 64 * float(np.finfo(np.float32).eps)
    breaks = feature_breaks(x, OLD, 0.2, 0.01, step)
    assert np.diff(breaks).min() >= 0.999 * step * np.abs(x).max()
    assert (np.diff(breaks.astype(np.float32)) > 0).all()


def test_equal_values_have_the_rank_in_their_middle() -> None:
    """By hand: six 0, two 1, two 2 have the ranks 3, 7 and 9, so the median of the ranks from 3 to 9 is 3/4.

    A hundredth of the even grid, whose middle is 1, is mixed in.
    """
    x = np.array([0.0] * 6 + [1.0] * 2 + [2.0] * 2)
    np.testing.assert_allclose(feature_breaks(x, np.linspace(-1, 1, 3), 0.0, 0.0, STEP), [0, 0.99 * 0.75 + 0.01, 2])


def test_a_frequent_value_draws_one_knot_into_the_gap_beside_it() -> None:
    """70 % are 0 and the others from 10 on: not 70 % of the knots are between 0 and 10, where there is nothing."""
    x = np.append(np.zeros(70), np.linspace(10, 11, 30))
    breaks = feature_breaks(x, np.linspace(-1, 1, 5), 0.0, 0.0, STEP)
    assert ((breaks > 0.2) & (breaks < 9.8)).sum() == 1


@pytest.mark.parametrize(("farthest", "end"), [(3.8, 3.8), (4.1, 1.0), (-2.8, -2.8), (-3.1, -1.0)])
def test_an_outlier_is_three_widths_away(farthest: float, end: float) -> None:
    """The middle 98 % of the other values are 0.98 wide, so an outlier lies beyond 3.93 or below -2.93."""
    breaks = feature_breaks(np.append(np.linspace(0, 1, 999), farthest), OLD, 0.2, 0.0, STEP)
    assert breaks[-1 if farthest > 0 else 0] == pytest.approx(end)


@pytest.mark.parametrize("uniform_share", [0.0, 0.2, 1.0])
def test_the_margin_belongs_to_the_domain(uniform_share: float) -> None:
    """Whatever the mixture, the domain ends a tenth of the values' width beyond them."""
    x = values()
    got = feature_breaks(x, np.linspace(-1, 20, 9), uniform_share, 0.1, STEP)
    wanted = [x.min() - 0.1 * np.ptp(x), x.max() + 0.1 * np.ptp(x)]
    np.testing.assert_allclose(got[[0, -1]], wanted, rtol=1e-12)


def test_old_breaks_are_resampled_in_place(make_kan: Callable[..., KAN]) -> None:
    """Twice as many: every old break of an uneven grid, and the middle of every interval."""
    layer = make_kan((2, 1), uneven=True).layers[0]
    old = layer.all_knots()[:, layer.degree : -layer.degree].numpy()
    x = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before, after = layer_breaks(layer, x, 2 * layer.grid_size, 0.2, 0.01, torch.float64)
    np.testing.assert_allclose(before[:, ::2], old, rtol=1e-12)
    np.testing.assert_allclose(before[:, 1::2], (old[:, 1:] + old[:, :-1]) / 2, rtol=1e-12, atol=1e-12)
    assert after.shape == before.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_breaks_are_for_the_new_layers_float_type(make_kan: Callable[..., KAN], dtype: torch.dtype) -> None:
    """Values from 1e8 to 1e8 + 1 are one number in float32, where the grid gets wider; float64 tells them apart.

    Two breaks are 64 spacings of the type apart at the least.
    """
    layer = make_kan((1, 1)).layers[0]
    x = 1e8 + torch.rand(50, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    after = layer_breaks(layer, x, 5, 0.2, 0.01, dtype)[1]
    assert (after.to(dtype).diff(dim=1) > 0).all()
    assert float(after.diff(dim=1).min()) > 0.99 * 64 * torch.finfo(dtype).eps * 1e8
    assert (float(after[0, -1] - after[0, 0]) < 1.1) is (dtype == torch.float64)
