"""The derivatives of the basis functions of a grid, in closed form.

The derivative of a B-spline of degree k is a difference of two of degree k − 1 on the same knots t:

    B'_i,k = k·B_i,k−1 / (t_i+k − t_i) − k·B_i+1,k−1 / (t_i+k+1 − t_i+1)

Example: degree 1 on the knots −1, 0, 1. The one basis function is the hat at 0; its derivative is 1 on [−1, 0) and −1
on [0, 1).

Source: de Boor, A Practical Guide to Splines, chapter X; the same as SciPy's ``BSpline.derivative``.
"""

import torch
from torch import Tensor

from kan_model.splines.bspline import basis


def basis_derivatives(x: Tensor, knots: Tensor, degree: int, order: int) -> tuple[Tensor, ...]:
    """All basis functions at x, and their derivatives by x.

    At a knot a derivative that jumps has its value on the right. Autograd may pass through the result: it gives the
    next derivative.

    Args:
        x: ``[rows, features]``.
        knots: ``[features, K]``, strictly increasing.
        degree: Degree of the spline.
        order: The highest derivative, 0 or more; those above the degree are 0.

    Returns:
        The values, first derivatives and so on: order + 1 tensors ``[rows, features, K - degree - 1]``; zero beyond the
        knots.
    """
    found: list[Tensor] = []
    for derivative in range(order + 1):
        if derivative > degree:
            found.append(torch.zeros_like(found[0]))
            continue
        values = basis(x, knots, degree - derivative)
        for raised in range(degree - derivative + 1, degree + 1):
            scaled = raised * values / (knots[:, raised:] - knots[:, :-raised])
            values = scaled[..., :-1] - scaled[..., 1:]
        found.append(values)
    return tuple(found)
