"""SciPy's basis functions, as the truth for ours."""

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor


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
