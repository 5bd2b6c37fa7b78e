"""The scores of the λs against their definitions with dense matrices, and their derivatives against differences."""

import numpy as np
import pytest
import torch

from training.additive.criterion import Criterion, Score
from training.additive.sums import Sums

WIDTHS = (3, 1, 4)


def _problem(rows: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray, Sums]:
    """A design with one free column, targets, weights, and their sums."""
    generator = np.random.default_rng(1)
    design = np.column_stack([np.ones(rows), generator.normal(size=(rows, sum(WIDTHS)))])
    targets = design[:, 1] + generator.normal(size=rows)
    weights = generator.uniform(0.5, 2.0, size=rows)
    x, z, w = (torch.from_numpy(each) for each in (design, targets, weights))
    return design, targets, weights, Sums(x.T @ (w[:, None] * x), x.T @ (w * z), float(w @ z**2), rows)


@pytest.mark.parametrize("gamma", [1.0, 1.4])
@pytest.mark.parametrize("kind", ["gcv", "ubre"])
def test_the_score_is_its_definition(kind: Score, gamma: float) -> None:
    """Residual and trace of the influence matrix H of z → answers, all as dense matrices."""
    design, targets, weights, sums = _problem()
    place = np.array([0.3, -1.0, 2.0])
    found = Criterion(sums, WIDTHS, kind, gamma).at(place)
    penalty = np.diag(np.concatenate([[0.0], np.repeat(np.exp(place), WIDTHS)]))
    influence = design @ np.linalg.solve(design.T @ (weights[:, None] * design) + penalty, design.T * weights)
    rows, degrees = len(targets), np.trace(influence)
    residual = float(weights @ (targets - influence @ targets) ** 2)
    wanted = (
        np.log(rows * residual / (rows - gamma * degrees) ** 2)
        if kind == "gcv"
        else residual / rows + 2 * gamma * degrees / rows
    )
    assert found is not None
    assert found.degrees == pytest.approx(degrees, rel=1e-7)
    assert found.score == pytest.approx(wanted, rel=1e-7)
    np.testing.assert_allclose(design @ found.coefficients.numpy(), influence @ targets, rtol=1e-6)


@pytest.mark.parametrize("kind", ["gcv", "ubre"])
def test_the_derivatives_are_those_of_the_score(kind: Score) -> None:
    """Gradient and Hessian by the log λs against central differences."""
    criterion = Criterion(_problem()[3], WIDTHS, kind)
    place, step = np.array([0.3, -1.0, 2.0]), 1e-5
    found = criterion.at(place)
    assert found is not None
    for penalty in range(len(WIDTHS)):
        aside = step * np.eye(len(WIDTHS))[penalty]
        above, below = criterion.at(place + aside), criterion.at(place - aside)
        assert above is not None
        assert below is not None
        assert found.gradient[penalty] == pytest.approx((above.score - below.score) / (2 * step), abs=1e-8)
        slope = (above.gradient - below.gradient) / (2 * step)
        np.testing.assert_allclose(found.hessian[penalty], slope, atol=1e-8)


def test_more_degrees_of_freedom_than_rows_have_no_score() -> None:
    """With 5 rows and next to no penalty n − γe is not positive; with a strong one it is."""
    criterion = Criterion(_problem(rows=5)[3], WIDTHS)
    assert criterion.at(np.full(3, -15.0)) is None
    assert criterion.at(np.full(3, 15.0)) is not None


def test_equal_columns_share_their_coefficient() -> None:
    """Two equal free columns have no unique fit; the answers are those of one, and the coefficients are equal."""
    x = torch.tensor([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]], dtype=torch.float64)
    z = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    found = Criterion(Sums(x.T @ x, x.T @ z, float(z @ z), 3), ()).fit(np.array([]))
    assert found is not None
    wanted = float(x[:, 0] @ z / (x[:, 0] @ x[:, 0]))
    assert found.tolist() == pytest.approx([wanted / 2, wanted / 2], rel=1e-4)
