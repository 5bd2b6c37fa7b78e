"""Constants and functions are found again from samples."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from torch import Tensor

from kan_model import FUNCTIONS
from kan_model.symbolic.fit import Fit, fit_functions
from kan_model.symbolic.invariance import invariance_of

# a and b with which each function is finite on [-1, 1] and far from a straight line there.
INSIDE = {
    **dict.fromkeys(("sqrt", "log", "1/sqrt(x)", "x^1.5"), (0.9, 1.0)),
    **dict.fromkeys(("1/x", "1/x^2", "1/x^3", "1/x^4", "1/x^5"), (1.0, 1.4)),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), (0.7, 0.2)),
    "sin": (4.0, 0.7),
    "cos": (-3.0, 1.0),
    "tan": (1.1, 0.2),
    "exp": (-1.7, 0.4),
}
NAMES = [name for name in FUNCTIONS if name != "0"]


def samples(name: str, *, count: int = 500, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Samples of 2·f(a·x + b) - 0.7 on random x in [-1, 1], plus noise as a share of its standard deviation."""
    a, b = INSIDE.get(name, (1.5, 0.2))
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, dtype=torch.float64, generator=generator) * 2 - 1
    y = 2 * FUNCTIONS[name].torch(a * x + b) - 0.7
    return x, y + noise * y.std() * torch.randn(count, dtype=torch.float64, generator=generator)


def values(fit: Fit, x: Tensor) -> Tensor:
    """What the fit says at x."""
    return fit.c * FUNCTIONS[fit.function].torch(fit.a * x + fit.b) + fit.d


@pytest.mark.parametrize("name", NAMES)
def test_each_function_finds_its_own_samples_again(name: str) -> None:
    """To 1e-6 of their range, at points that were not given too."""
    x, y = samples(name)
    (fit,) = fit_functions(x, y, [name])
    assert fit.r2 > 1 - 1e-10
    # The step of sgn is between two samples, nobody knows where.
    between = x if name == "sgn" else torch.linspace(float(x.min()), float(x.max()), 1000, dtype=torch.float64)
    a, b = INSIDE.get(name, (1.5, 0.2))
    wanted = 2 * FUNCTIONS[name].torch(a * between + b) - 0.7
    assert (values(fit, between) - wanted).abs().max() < 1e-6 * (y.max() - y.min())


@pytest.mark.parametrize(
    ("name", "a", "b", "c", "d"),
    [
        # sin, gaussian: all four can be told apart. x^2: 2·(1.5x + 0.2)² = 4.5·(x + 2/15)². exp: e^b goes outside.
        ("sin", 4.0, 0.7, 2.0, -0.7),
        ("gaussian", 1.5, 0.2, 2.0, -0.7),
        ("x", 1.0, 0.0, 3.0, -0.3),
        ("x^2", 1.0, 2 / 15, 4.5, -0.7),
        ("exp", -1.7, 0.0, 2 * math.exp(0.4), -0.7),
        # The factor inside of a logarithm is an addend outside.
        ("log", 1.0, 1 / 0.9, 2.0, -0.7 + 2 * math.log(0.9)),
        # cos(-3x + 1) = cos(3x - 1).
        ("cos", 3.0, -1.0, 2.0, -0.7),
    ],
)
def test_constants_are_the_plainest_ones(name: str, a: float, b: float, c: float, d: float) -> None:
    """Of equivalent constants the plainest are given, as a person would write them."""
    (fit,) = fit_functions(*samples(name), [name])
    assert (fit.a, fit.b, fit.c, fit.d) == pytest.approx((a, b, c, d), abs=1e-6)


@pytest.mark.parametrize("name", ["exp", "sin", "tanh", "gaussian"])
def test_with_noise_it_is_the_least_squares_solution(name: str) -> None:
    """SciPy's curve_fit, started at the truth, finds none with a smaller error."""
    x, y = samples(name, noise=0.05)
    (fit,) = fit_functions(x, y, [name])

    def curve(x: NDArray[np.float64], a: float, b: float, c: float, d: float) -> NDArray[np.float64]:
        result: NDArray[np.float64] = (c * FUNCTIONS[name].torch(a * torch.as_tensor(x) + b) + d).numpy()
        return result

    best, _ = curve_fit(curve, x.numpy(), y.numpy(), p0=[*INSIDE.get(name, (1.5, 0.2)), 2, -0.7])
    wanted = torch.as_tensor(curve(x.numpy(), *best))
    assert (values(fit, x) - y).square().sum() <= (wanted - y).square().sum() * (1 + 1e-9)
    assert fit.r2 == pytest.approx(float(1 - (values(fit, x) - y).square().sum() / (y - y.mean()).square().sum()))


@pytest.mark.parametrize("periods", [3.5, 10, 40, 200])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_a_wave_of_many_periods_is_found(name: str, periods: float) -> None:
    """A wave of many periods is found at random x and in noise, as close as by SciPy started at the truth."""
    x, _ = samples("x", count=1000)
    x = 1e3 + 50 * x
    generator = torch.Generator().manual_seed(1)
    y = torch.sin(2 * math.pi * periods * x / 100 + 0.7)
    y = y + 0.3 * torch.randn(1000, dtype=torch.float64, generator=generator)
    (fit,) = fit_functions(x, y, [name])

    def curve(x: NDArray[np.float64], a: float, b: float, c: float, d: float) -> NDArray[np.float64]:
        return np.asarray(c * np.sin(a * x + b) + d)

    best, _ = curve_fit(curve, x.numpy(), y.numpy(), p0=[2 * math.pi * periods / 100, 0.7, 1, 0])
    least = (torch.as_tensor(curve(x.numpy(), *best)) - y).square().sum()
    assert (values(fit, x) - y).square().sum() <= least * (1 + 1e-9)


def test_few_samples_of_a_slow_wave_are_no_fast_one() -> None:
    """At equal steps a fast wave fits the samples as well as the slow one; the slow one is the result."""
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)
    for name in ("sin", "cos"):
        (fit,) = fit_functions(x, torch.sin(3 * x + 0.2), [name])
        assert fit.a == pytest.approx(3, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("name", ["x^3", "exp", "sin", "log", "1/x"])
def test_units_do_not_matter(name: str, scale: float) -> None:
    """The same fit of x and y in other units, and from another zero of y."""
    x, y = samples(name, noise=0.01)
    (fit,) = fit_functions(x, y, [name])
    (scaled,) = fit_functions(x * scale, y / scale + 3 / scale, [name])
    assert scaled.r2 == pytest.approx(fit.r2, abs=1e-9)
    torch.testing.assert_close((values(scaled, x * scale) - 3 / scale) * scale, values(fit, x), atol=1e-5, rtol=0)


def test_x_far_from_zero_loses_no_digits() -> None:
    """Years, or a temperature in kelvin: a window far away is as good as one around zero."""
    x, _ = samples("x")
    for name, a, b in (("exp", 1.7, 0.0), ("sin", 4.0, 0.7), ("x^2", 1.0, 0.3), ("x", 1.0, 0.0)):
        (fit,) = fit_functions(x + 4096, FUNCTIONS[name].torch(a * x + b), [name])
        assert fit.r2 > 1 - 1e-10
        assert abs(fit.d) < 1e5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sqrt", "log", "arcsin", "1/x", "arctanh"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_fit_is_finite_on_its_samples(name: str, dtype: torch.dtype) -> None:
    """Also with constants rounded to float32, and where samples pull the function to the end of its domain."""
    x, _ = samples("x")
    x = x.to(dtype)
    for y in (x.double(), (x.double() + 1).clamp(min=0).sqrt(), x.double().sign(), torch.sin(9 * x.double())):
        for fit in fit_functions(x, y, [name], dtype=dtype):
            rounded = torch.tensor([fit.a, fit.b, fit.c, fit.d], dtype=torch.float64).to(dtype)
            answers = rounded[2] * FUNCTIONS[name].torch(rounded[0] * x + rounded[1]) + rounded[3]
            assert torch.isfinite(answers).all()


def test_a_square_root_that_starts_at_the_first_sample_is_found() -> None:
    """sqrt(x) with x = 0 among the samples, in float32: its b is 0, not something below."""
    x = torch.linspace(0, 3, 200)
    (fit,) = fit_functions(x, x.double().sqrt(), ["sqrt"], dtype=torch.float32)
    assert (fit.a, fit.b, fit.c, fit.d) == pytest.approx((1, 0, 1, 0), abs=1e-5)
    assert torch.isfinite(torch.sqrt(torch.tensor(fit.a) * x + torch.tensor(fit.b))).all()


def test_a_pole_between_samples_is_no_fit() -> None:
    """Samples left and right of a gap; a spline is finite in it, 1/x with its pole there is not."""
    x = torch.cat([torch.linspace(-1, -0.3, 50), torch.linspace(0.3, 1, 50)]).double()
    fits = fit_functions(x, 1 / x, ["1/x", "x", "tanh"])
    between = torch.linspace(-1, 1, 999, dtype=torch.float64)
    assert "tanh" in [fit.function for fit in fits]
    for fit in fits:
        assert values(fit, between).abs().max() < 20


def test_samples_that_do_not_vary_are_a_constant() -> None:
    """Whatever reaches the edge; and so is one x."""
    x, _ = samples("x")
    for at, y in ((x, torch.full_like(x, 0.3)), (torch.ones_like(x), torch.full_like(x, 0.3))):
        # A logarithm times 0 is NaN where there is none.
        (fit,) = fit_functions(at, y, ["log"])
        assert (fit.function, fit.a, fit.b, fit.c, fit.r2) == ("x", 1, 0, 0, 1)
        assert fit.d == pytest.approx(0.3)


def test_one_x_with_several_y_is_a_bad_constant() -> None:
    """Their mean, and an r2 of 0."""
    (fit,) = fit_functions(torch.ones(4), torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert (fit.c, fit.d, fit.r2) == (0, 3, 0)


def test_as_many_constants_as_points_are_no_evidence() -> None:
    """Two different x fit a line and any other function, so only the line is given."""
    fits = fit_functions(torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.tensor([5.0, 7.0, 7.0, 5.0]))
    assert [(fit.function, fit.a, fit.b) for fit in fits] == [("x", 1.0, 0.0)]
    assert (fits[0].c, fits[0].d, fits[0].r2) == pytest.approx((2, 5, 1))
    tried = {fit.function for fit in fit_functions(torch.arange(4.0), torch.tensor([0.0, 1.0, 4.0, 9.0]))}
    assert tried <= {name for name in FUNCTIONS if invariance_of(name).free_constants < 4}
    assert "x^2" in tried


@pytest.mark.parametrize(
    ("x", "y", "functions", "message"),
    [
        ([1.0], [1.0], None, r"\(1,\) and \(1,\)"),
        ([1.0, 2.0], [1.0], None, r"\(2,\) and \(1,\)"),
        ([1.0, math.nan], [1.0, 2.0], None, "x of sample 1"),
        ([1.0, 2.0], [-math.inf, 2.0], None, "y of sample 0"),
        ([1.0, 2.0], [1.0, 2.0], ["sine"], r"functions are \['sine'\]"),
        ([1.0, 2.0], [1.0, 2.0], [], r"functions are \[\]"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    x: list[float], y: list[float], functions: list[str] | None, message: str
) -> None:
    """With what came and what was wanted."""
    with pytest.raises(ValueError, match=message):
        fit_functions(torch.tensor(x), torch.tensor(y), functions)


def test_the_samples_are_left_as_they_are() -> None:
    """The samples are not changed, and their order does not matter."""
    x, y = samples("sin", noise=0.01)
    before = x.clone(), y.clone()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    assert fit_functions(x, y, ["sin"])[0].r2 == pytest.approx(fit_functions(x[order], y[order], ["sin"])[0].r2)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
