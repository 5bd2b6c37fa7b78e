"""The choice of the λs: against SciPy's smoothing spline of one column, and against a general minimizer."""

import numpy as np
import pytest
import torch
from scipy.interpolate import make_smoothing_spline
from scipy.optimize import minimize

from kan_model.splines.bspline import basis, uniform_knots
from training.additive.criterion import Criterion
from training.additive.penalties import coordinates, curvature
from training.additive.smoothing import choose_strengths
from training.additive.sums import Sums

ROWS = 60


def _one_column(noise: float) -> tuple[np.ndarray, np.ndarray, torch.Tensor, Criterion, float]:
    """Even x, y, the design of a cubic spline with a knot at each x, its criterion with γ = 1, and λ of log λ = 0."""
    x = np.linspace(0.0, 2.0, ROWS)
    y = np.sin(4 * x) + noise * np.random.default_rng(0).normal(size=ROWS)
    knots = uniform_knots(torch.tensor([[0.0, 2.0]], dtype=torch.float64), ROWS - 1, 3)
    values = basis(torch.from_numpy(x)[:, None], knots, 3)[:, 0]
    penalty = curvature(knots[0], 3)
    tilt, bends = coordinates(values, penalty)
    design = torch.cat([torch.ones(ROWS, 1).double(), values @ tilt[:, None], values @ bends], dim=1)
    z = torch.from_numpy(y)
    sums = Sums(design.T @ design, design.T @ z, float(z @ z), ROWS)
    of_one = float(bends[:, 0] @ penalty @ bends[:, 0])
    return x, y, design, Criterion(sums, (bends.shape[1],), gamma=1.0), 1 / of_one


@pytest.mark.parametrize("strength", [1e-6, 1e-3, 1e2])
def test_one_column_with_a_given_penalty_is_the_smoothing_spline(strength: float) -> None:
    """With a knot at each row the minimum of Σ(y − f)² + λ∫f″² is SciPy's natural spline."""
    x, y, design, criterion, unit = _one_column(0.3)
    coefficients = criterion.fit(np.log([strength / unit]))
    assert coefficients is not None
    wanted = make_smoothing_spline(x, y, lam=strength)(x)
    np.testing.assert_allclose((design @ coefficients).numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
def test_one_column_has_the_penalty_of_least_gcv_as_scipy_finds_it(noise: float) -> None:
    """SciPy searches λ by GCV too; the curves agree as far as its search goes."""
    x, y, design, criterion, _ = _one_column(noise)
    _, found = choose_strengths(criterion, np.zeros(1))
    wanted = make_smoothing_spline(x, y)(x)
    np.testing.assert_allclose((design @ found.coefficients).numpy(), wanted, atol=2e-3 * np.ptp(y))


def test_no_start_of_a_general_minimizer_finds_a_lower_score() -> None:
    """Nelder–Mead from several places, on four penalties of which two belong to columns without an effect."""
    generator = np.random.default_rng(3)
    design = np.column_stack([np.ones(80), generator.normal(size=(80, 20))])
    targets = design[:, 1:6].sum(axis=1) + 0.2 * design[:, 6] + generator.normal(size=80)
    x, z = torch.from_numpy(design), torch.from_numpy(targets)
    criterion = Criterion(Sums(x.T @ x, x.T @ z, float(z @ z), 80), (5, 5, 5, 5))
    place, found = choose_strengths(criterion, np.zeros(4))
    assert (np.abs(found.gradient) < 1e-3).all(), f"the score still falls at {place}"

    def score(log_strengths: np.ndarray) -> float:
        return each.score if (each := criterion.at(np.clip(log_strengths, -18, 18))) is not None else np.inf

    starts = [np.full(4, -3.0), np.zeros(4), np.full(4, 6.0), np.array([5.0, -5.0, 5.0, -5.0])]
    best = min(minimize(score, start, method="Nelder-Mead", options={"maxiter": 2000}).fun for start in starts)
    assert found.score <= best + 1e-3


def test_a_start_that_leaves_too_many_degrees_of_freedom_is_left() -> None:
    """Fewer rows than coefficients: the search begins with larger λs."""
    generator = np.random.default_rng(4)
    x, z = torch.from_numpy(generator.normal(size=(8, 30))), torch.from_numpy(generator.normal(size=8))
    place, found = choose_strengths(Criterion(Sums(x.T @ x, x.T @ z, float(z @ z), 8), (30,)), np.array([-18.0]))
    assert place[0] > -18.0
    assert 1.4 * found.degrees < 8
