"""The likelihood of the λs of pairs against its definition with dense matrices, and its derivatives."""

import numpy as np
import pytest
import torch

from training.additive.criterion import Score
from training.additive.pairs.likelihood import Likelihood
from training.additive.sums import Sums

WIDTHS, FIXED = (3, 1, 4, 2), 1
PLACE = np.array([0.3, -1.0, 2.0, 0.5])


def _problem(rows: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray, Sums]:
    """A design with one free column, targets, weights, and their sums."""
    generator = np.random.default_rng(1)
    design = np.column_stack([np.ones(rows), generator.normal(size=(rows, sum(WIDTHS)))])
    targets = design[:, 1] - design[:, 6] + generator.normal(size=rows)
    weights = generator.uniform(0.5, 2.0, size=rows)
    x, z, w = (torch.from_numpy(each) for each in (design, targets, weights))
    return design, targets, weights, Sums(x.T @ (w[:, None] * x), x.T @ (w * z), float(w @ z**2), rows)


def _deviance(place: np.ndarray, kind: Score) -> float:
    """−2 times the logarithm of the restricted likelihood of targets whose covariance is W⁻¹ + XΛ⁻¹Xᵀ, but for σ²."""
    design, targets, weights, _ = _problem()
    free, others = design[:, :1], design[:, 1:]
    covariance = np.diag(1 / weights) + others / np.repeat(np.exp(place), WIDTHS) @ others.T
    solved = np.linalg.solve(covariance, free)
    constant = np.linalg.solve(free.T @ solved, solved.T @ targets)
    left = targets - free @ constant
    square = float(left @ np.linalg.solve(covariance, left))
    logs = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(free.T @ solved)[1]
    return float(logs + (square if kind == "ubre" else (len(targets) - 1) * np.log(square)))


@pytest.mark.parametrize("kind", ["gcv", "ubre"])
def test_the_score_is_the_restricted_likelihood(kind: Score) -> None:
    """Of random coefficients, as dense matrices have it: equal differences between two choices of the λs."""
    likelihood, other = Likelihood(_problem()[3], WIDTHS, kind, FIXED), np.array([-0.5, 1.0, 0.0, -2.0])
    found = [likelihood.at(place) for place in (PLACE, other)]
    assert found[0] is not None
    assert found[1] is not None
    wanted = _deviance(PLACE, kind) - _deviance(other, kind)
    assert 39 * (found[0].score - found[1].score) == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("kind", ["gcv", "ubre"])
def test_the_derivatives_are_those_of_the_score(kind: Score) -> None:
    """Gradient and Hessian by the log λs that move against central differences; 0 for the others."""
    likelihood, step = Likelihood(_problem()[3], WIDTHS, kind, FIXED), 1e-5
    found = likelihood.at(PLACE)
    assert found is not None
    assert not found.gradient[:FIXED].any()
    assert not found.hessian[:FIXED].any()
    for place in range(FIXED, len(WIDTHS)):
        moved = np.eye(len(WIDTHS))[place] * step
        above, below = likelihood.at(PLACE + moved), likelihood.at(PLACE - moved)
        assert above is not None
        assert below is not None
        slope = (above.score - below.score) / (2 * step)
        assert found.gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-8)
        bend = (above.gradient - below.gradient)[FIXED:] / (2 * step)
        np.testing.assert_allclose(found.hessian[place, FIXED:], bend, rtol=1e-4, atol=1e-8)


def test_the_fit_is_the_penalised_one() -> None:
    """Coefficients, degrees of freedom and residual as of dense matrices."""
    design, targets, weights, sums = _problem()
    found = Likelihood(sums, WIDTHS, "gcv", FIXED).at(PLACE)
    penalty = np.diag(np.concatenate([[0.0], np.repeat(np.exp(PLACE), WIDTHS)]))
    matrix = design.T @ (weights[:, None] * design)
    wanted = np.linalg.solve(matrix + penalty, design.T @ (weights * targets))
    assert found is not None
    np.testing.assert_allclose(found.coefficients.numpy(), wanted, rtol=1e-6)
    assert found.degrees == pytest.approx(np.trace(np.linalg.solve(matrix + penalty, matrix)), rel=1e-6)
    assert found.residual == pytest.approx(float(weights @ (targets - design @ wanted) ** 2), rel=1e-6)


def test_targets_that_are_all_0_have_a_fit_or_none() -> None:
    """The logarithm of a sum of squares of 0 is no score."""
    _, _, _, sums = _problem()
    nothing = Sums(sums.gram, torch.zeros_like(sums.moment), 0.0, sums.rows)
    assert Likelihood(nothing, WIDTHS, "gcv", FIXED).at(PLACE) is None
    assert Likelihood(nothing, WIDTHS, "ubre", FIXED).at(PLACE) is None
