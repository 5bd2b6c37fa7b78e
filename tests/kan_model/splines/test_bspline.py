"""Splines against SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_lsq_spline

from kan_model.splines.bspline import (
    basis,
    check_grid,
    evaluate,
    fit_coefficients,
    insertion_matrix,
    uniform_basis,
    uniform_knots,
)

DEGREES = (1, 2, 3, 4, 5)


def scipy_basis(x: torch.Tensor, knots: torch.Tensor, degree: int) -> NDArray[np.float64]:
    """Each basis function by SciPy, zero beyond its support (design_matrix refuses points outside the domain)."""
    values = np.zeros((*x.shape, knots.shape[1] - degree - 1))
    for feature in range(knots.shape[0]):
        for j in range(values.shape[2]):
            element = BSpline.basis_element(knots[feature, j : j + degree + 2].numpy(), extrapolate=False)
            values[:, feature, j] = np.nan_to_num(element(x[:, feature].numpy()))
    return values


@st.composite
def uniform_cases(draw: st.DrawFn) -> tuple[torch.Tensor, int, int, int]:
    """A domain of two features, grid size, degree and a seed for points."""
    lows = draw(st.lists(st.floats(-100, 100), min_size=2, max_size=2))
    widths = draw(st.lists(st.floats(0.1, 100), min_size=2, max_size=2))
    domain = torch.tensor([[low, low + width] for low, width in zip(lows, widths, strict=True)], dtype=torch.float64)
    return domain, draw(st.integers(1, 30)), draw(st.sampled_from(DEGREES)), draw(st.integers(0, 999))


@settings(deadline=None, max_examples=60)
@given(uniform_cases())
def test_closed_form_and_recursion_equal_scipy_on_uniform_grids(case: tuple[torch.Tensor, int, int, int]) -> None:
    """Inside, on knots and outside, both forms equal SciPy's basis functions to 1e-12."""
    domain, grid_size, degree, seed = case
    knots = uniform_knots(domain, grid_size, degree)
    low, high = domain.T
    share = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 3 - 1
    x = torch.cat([low + (high - low) * share, knots.T])
    expected = scipy_basis(x, knots, degree)
    np.testing.assert_allclose(basis(x, knots, degree), expected, atol=1e-12, rtol=0)
    # In units of the domain: rounding x/h costs a few ulps of the distance from zero.
    far = float((torch.abs(domain).max() / (high - low).min()).clamp(min=1)) * grid_size
    np.testing.assert_allclose(
        uniform_basis(x, domain, grid_size, degree), expected, atol=max(1e-12, 4e-15 * far), rtol=0
    )


@pytest.mark.parametrize("degree", DEGREES)
def test_closed_form_equals_scipy_to_1e_12_on_the_usual_domain(degree: int) -> None:
    """On [-1, 1] the closed form is exact to 1e-12 without any allowance."""
    domain = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    x = torch.linspace(-4, 4, 2001, dtype=torch.float64).unsqueeze(1)
    expected = scipy_basis(x, uniform_knots(domain, 20, degree), degree)
    np.testing.assert_allclose(uniform_basis(x, domain, 20, degree), expected, atol=1e-12, rtol=0)


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(st.floats(0.05, 2.0), min_size=12, max_size=20),
    degree=st.sampled_from(DEGREES),
    start=st.floats(-5, 5),
)
def test_recursion_equals_scipy_on_any_grid(steps: list[float], degree: int, start: float) -> None:
    """Uneven knots give SciPy's basis functions, and the spline of given coefficients SciPy's values."""
    knots = start + torch.cumsum(torch.tensor([steps], dtype=torch.float64), dim=1)
    x = torch.linspace(float(knots.min()) - 1, float(knots.max()) + 1, 101, dtype=torch.float64).unsqueeze(1)
    np.testing.assert_allclose(basis(x, knots, degree), scipy_basis(x, knots, degree), atol=1e-12, rtol=0)
    coefficients = torch.linspace(-1, 1, knots.shape[1] - degree - 1, dtype=torch.float64).unsqueeze(0)
    low, high = float(knots[0, degree]), float(knots[0, -degree - 1])
    inside = torch.linspace(low, high, 50, dtype=torch.float64)
    expected = BSpline(knots[0].numpy(), coefficients[0].numpy(), degree)(inside.numpy())
    np.testing.assert_allclose(evaluate(inside.unsqueeze(1), knots, coefficients, degree)[:, 0], expected, atol=1e-12)


def test_nan_stays_nan() -> None:
    """A missing value is not turned into a number."""
    x = torch.tensor([[float("nan")]], dtype=torch.float64)
    domain = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    assert torch.isnan(uniform_basis(x, domain, 5, 3)).all()
    assert torch.isnan(basis(x, uniform_knots(domain, 5, 3), 3)).all()


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_beyond_the_knots_all_is_zero_however_far(degree: int, dtype: torch.dtype) -> None:
    """The largest numbers of the type and infinity give 0, not NaN."""
    knots = uniform_knots(torch.tensor([[-1.0, 1.0]], dtype=dtype), 5, degree)
    largest = torch.finfo(dtype).max
    x = torch.tensor([[largest], [-largest], [float("inf")], [float("-inf")]], dtype=dtype)
    assert torch.equal(basis(x, knots, degree), torch.zeros(4, 1, 5 + degree, dtype=dtype))


@pytest.mark.parametrize("degree", DEGREES)
def test_weights_are_those_of_squared_differences(degree: int) -> None:
    """As SciPy's make_lsq_spline, which weighs the differences before they are squared."""
    random = np.random.default_rng(0)
    x, y, weights = np.sort(random.uniform(-1, 1, 60)), random.normal(size=60), random.uniform(0.1, 10, 60)
    knots = uniform_knots(torch.tensor([[-1.0, 1.0]], dtype=torch.float64), 4, degree)
    fitted = fit_coefficients(
        torch.from_numpy(x)[:, None],
        torch.from_numpy(y)[:, None, None],
        knots,
        degree,
        torch.from_numpy(weights)[:, None],
    )
    expected = make_lsq_spline(x, y, knots[0].numpy(), degree, w=np.sqrt(weights)).c
    np.testing.assert_allclose(fitted[0, 0], expected, atol=1e-9)


@pytest.mark.parametrize("degree", DEGREES)
def test_fit_gives_back_the_coefficients_of_a_spline(degree: int) -> None:
    """Least squares on a spline's own values is that spline."""
    domain = torch.tensor([[-2.0, 1.0], [0.0, 5.0]], dtype=torch.float64)
    knots = uniform_knots(domain, 7, degree)
    truth = torch.randn(2, 3, 7 + degree, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = domain[:, 0] + (domain[:, 1] - domain[:, 0]) * torch.linspace(0, 1, 200, dtype=torch.float64).unsqueeze(1)
    y = torch.einsum("nfb,fcb->nfc", basis(x, knots, degree), truth)
    np.testing.assert_allclose(fit_coefficients(x, y, knots, degree), truth, atol=1e-9)


def test_fit_with_too_few_points_is_finite() -> None:
    """Basis functions that no point touches get zero, not NaN."""
    knots = uniform_knots(torch.tensor([[-1.0, 1.0]], dtype=torch.float64), 50, 3)
    x = torch.zeros(3, 1, dtype=torch.float64)
    fitted = fit_coefficients(x, torch.ones(3, 1, 1, dtype=torch.float64), knots, 3)
    assert torch.isfinite(fitted).all()
    assert fitted[0, 0, 0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("degree", DEGREES)
def test_insertion_equals_scipys_knot_insertion(degree: int) -> None:
    """One more knot in the middle of a cell: the coefficients are those of SciPy's insert_knot."""
    knots = torch.cumsum(
        torch.rand(12 + degree, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 0.1, 0
    )
    coefficients = torch.linspace(-2, 3, len(knots) - degree - 1, dtype=torch.float64)
    new = float(knots[degree + 2] + knots[degree + 3]) / 2
    expected = BSpline(knots.numpy(), coefficients.numpy(), degree).insert_knot(new)
    matrix = insertion_matrix(knots.unsqueeze(0), torch.from_numpy(expected.t).unsqueeze(0), degree)
    np.testing.assert_allclose(matrix[0] @ coefficients, expected.c[: matrix.shape[1]], atol=1e-12)


@pytest.mark.parametrize(
    ("knots", "degree", "message"),
    [
        ([[0.0, 1, 2, 3]], 0, "degree is 0"),
        ([[float(i) for i in range(20)]], 6, "degree is 6"),
        ([[0.0, 1, 1, 2, 3, 4]], 2, "feature 0"),
        ([[0.0, 1, 2, 3], [0.0, 1, float("nan"), 3]], 1, "feature 1"),
        ([[0.0, 1, 2, float("inf")]], 1, "feature 0"),
        ([[float("-inf"), 1, 2, 3]], 1, "feature 0"),
        ([[0.0, 1, 2]], 1, "at least 4"),
    ],
)
def test_impossible_grids_are_refused(knots: list[list[float]], degree: int, message: str) -> None:
    """The error says which feature or number it is."""
    with pytest.raises(ValueError, match=message):
        check_grid(torch.tensor(knots, dtype=torch.float64), degree)
