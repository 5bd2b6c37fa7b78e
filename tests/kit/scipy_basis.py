"""SciPy's basis functions, as the truth for ours."""

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from kan_model.splines.edge_sums import Splines


def scipy_basis(x: Tensor, knots: Tensor, degree: int, derivative: int = 0) -> Tensor:
    """Each basis function, or a derivative of it, at points; 0 beyond its support.

    Args:
        x: ``[features, points]``, float64.
        knots: ``[features, knots]``, float64.
        degree: Degree of the splines.
        derivative: Its order.

    Returns:
        ``[features, functions, points]``.
    """
    found = np.zeros((len(x), knots.shape[1] - degree - 1, x.shape[1]))
    for feature, index in np.ndindex(*found.shape[:2]):
        element = BSpline.basis_element(knots[feature, index : index + degree + 2].numpy(), extrapolate=False)
        found[feature, index] = np.nan_to_num(element(x[feature].numpy(), nu=derivative))
    return torch.from_numpy(found)


def check_values_and_slopes(splines: Splines, x: Tensor, knots: Tensor, degree: int) -> Tensor:
    """Compare every basis function, and its derivative, found by a gradient of 1 for it alone; returns the values."""
    values = x.new_empty(len(x), splines.count, x.shape[1])
    slopes = x.new_empty(len(x), splines.slope_count, x.shape[1])
    splines.write(x, values, slopes)
    torch.testing.assert_close(values, scipy_basis(x, knots, degree), atol=1e-12, rtol=0)
    wanted = scipy_basis(x, knots, degree, derivative=1)
    for function in range(splines.count):
        gradient = torch.zeros_like(values)
        gradient[:, function] = 1
        found = torch.zeros_like(x)
        splines.pull_back(gradient, x, slopes, found)
        torch.testing.assert_close(found, wanted[:, function], atol=1e-12 * float(wanted.abs().max()), rtol=0)
    return values
