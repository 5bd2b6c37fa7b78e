"""What curves cost: the integral of the squared second derivative, as a quadratic form of the coefficients."""

import numpy as np
import torch
from torch import Tensor

from kan_model.splines.bspline import basis

# Gauss–Legendre points an interval: exact for the square of a second derivative up to degree 5.
_POINTS = 4


def curvature(knots: Tensor, degree: int) -> Tensor:
    """The matrix S for which cᵀSc = ∫ f″(x)² dx over the domain, f being the spline with the coefficients c.

    Args:
        knots: ``[intervals + 2·degree + 1]``, float64.
        degree: Degree of the spline, 2 or more.

    Returns:
        ``[intervals + degree, intervals + degree]``. cᵀSc is 0 for straight lines, and for no other spline.
    """
    second = _derivative(knots[1:-1], degree - 1) @ _derivative(knots, degree)
    breaks = knots[degree : len(knots) - degree]
    places, weights = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(_POINTS))
    widths = breaks.diff()[:, None]
    points = (breaks[:-1, None] + widths * (places + 1) / 2).flatten()
    values = basis(points[:, None], knots[None, 2:-2], degree - 2)[:, 0] @ second
    return values.T @ (values * (widths * weights / 2).flatten()[:, None])


def _derivative(knots: Tensor, degree: int) -> Tensor:
    """From the coefficients of a spline to those of its derivative (de Boor, ch. X, eq. 12)."""
    functions = len(knots) - degree - 1
    steps = degree / (knots[1 + degree : -1] - knots[1:functions])
    return steps[:, None] * torch.eye(functions, dtype=torch.float64).diff(dim=0)
