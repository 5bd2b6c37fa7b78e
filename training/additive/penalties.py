"""What curves cost: the integral of the squared second derivative, and coordinates in which it is a sum of squares."""

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


def coordinates(values: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """A curve's tilt ``[functions]``, and its bends ``[functions, functions - 2]``, as coefficients of the basis.

    All of them have mean 0 over the rows. The penalty of a sum of bends is a multiple of the sum of the squares of
    their coordinates; a tilt has none. Both are scaled so that the sum of squares over the rows is 1, of the bends on
    average.

    Args:
        values: ``[rows, functions]``, the basis functions in the rows; they add up to 1 in each.
        penalty: ``[functions, functions]``, 0 for straight lines only.
    """
    mean = values.mean(dim=0)
    # Columns 1 and on span what is at right angles to the mean: curves whose mean over the rows is 0.
    centred = torch.linalg.qr(mean[:, None], mode="complete").Q[:, 1:]
    sizes, directions = torch.linalg.eigh(centred.T @ penalty @ centred)
    turned = centred @ directions
    tilt, bends = turned[:, 0], turned[:, 1:] * sizes[1:].rsqrt()
    gram = values.T @ values
    tilt = tilt / (tilt @ gram @ tilt).sqrt()
    bends = bends / (((gram @ bends) * bends).sum() / bends.shape[1]).sqrt()
    return tilt, bends


def _derivative(knots: Tensor, degree: int) -> Tensor:
    """From the coefficients of a spline to those of its derivative (de Boor, ch. X, eq. 12)."""
    functions = len(knots) - degree - 1
    steps = degree / (knots[1 + degree : -1] - knots[1:functions])
    return steps[:, None] * torch.eye(functions, dtype=torch.float64).diff(dim=0)
