"""The penalty of a curve against SciPy's derivatives and its quadrature."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.interpolate import BSpline

from training.additive.penalties import curvature

KNOTS = np.array([-2.0, -1.5, -1.1, -1.0, -0.4, 0.1, 0.15, 0.9, 1.0, 1.3, 1.9, 2.5])


@pytest.mark.parametrize("degree", [2, 3, 4, 5])
def test_the_penalty_is_the_integral_of_the_squared_second_derivative(degree: int) -> None:
    """On uneven knots, for each degree: cᵀSc is SciPy's ∫ f″² over the domain."""
    coefficients = np.random.default_rng(degree).normal(size=len(KNOTS) - degree - 1)
    second = BSpline(KNOTS, coefficients, degree).derivative(2)
    inside = KNOTS[degree : len(KNOTS) - degree]
    wanted = sum(quad(lambda x: float(second(x)) ** 2, low, high)[0] for low, high in pairwise(inside))
    found = coefficients @ curvature(torch.from_numpy(KNOTS), degree).numpy() @ coefficients
    assert found == pytest.approx(wanted, rel=1e-8)


def test_straight_lines_cost_nothing_and_nothing_else_is_free() -> None:
    """The penalty has two directions of size 0: the constant and the line through the Greville abscissae."""
    penalty = curvature(torch.from_numpy(KNOTS), 3)
    line = torch.from_numpy(KNOTS)[1:-1].unfold(0, 3, 1).mean(dim=-1)
    sizes = torch.linalg.eigvalsh(penalty)
    assert float((penalty @ line).abs().max()) < 1e-9 * float(sizes.max())
    assert int((sizes > 1e-9 * sizes.max()).sum()) == len(line) - 2
