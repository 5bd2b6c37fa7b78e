"""Derivatives of basis functions, against SciPy."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from kan_model.splines.bspline import basis
from kan_model.splines.derivatives import basis_derivatives


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_derivatives_are_scipys(degree: int) -> None:
    """On uneven knots, of two features, up to the third; at knots too, where SciPy also takes the right side."""
    generator = np.random.default_rng(degree)
    knots = np.cumsum(generator.uniform(0.2, 1, (2, 6 + 2 * degree)), axis=1)
    low, high = knots[:, degree].max(), knots[:, -degree - 1].min()
    x = np.concatenate([generator.uniform(low, high, 50), knots[0, degree:-degree], knots[1, degree:-degree]])
    x = x[(x >= low) & (x < high)]
    found = basis_derivatives(torch.from_numpy(x)[:, None].expand(-1, 2), torch.from_numpy(knots), degree, 3)
    for feature in range(2):
        spline = BSpline(knots[feature], np.eye(5 + degree), degree)
        for order, values in enumerate(found):
            expected = spline(x, nu=order) if order <= degree else np.zeros((len(x), 5 + degree))
            np.testing.assert_allclose(values[:, feature].numpy(), expected, rtol=1e-9, atol=1e-9 * 10**order)


def test_values_come_first_and_nothing_is_beyond_the_knots() -> None:
    """The first tensor is `basis` itself; far outside everything is 0."""
    knots = torch.linspace(-2, 2, 9, dtype=torch.float64)[None]
    x = torch.tensor([[-1e9], [-0.3], [0.5], [1e9]], dtype=torch.float64)
    found = basis_derivatives(x, knots, 3, 2)
    assert torch.equal(found[0], basis(x, knots, 3))
    assert all(not each[[0, 3]].any() for each in found)


def test_autograd_gives_the_next_derivative() -> None:
    """A derivative is differentiable by x, as fits of differential equations need it."""
    knots = torch.linspace(-2, 2, 9, dtype=torch.float64)[None]
    x = torch.tensor([[-0.9], [0.3], [0.6]], dtype=torch.float64, requires_grad=True)
    found = basis_derivatives(x, knots, 3, 3)
    for order in range(3):
        for function in range(5):
            (slope,) = torch.autograd.grad(found[order][..., function].sum(), x, retain_graph=True)
            torch.testing.assert_close(slope[:, 0], found[order + 1][:, 0, function])
