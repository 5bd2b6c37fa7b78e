"""Coefficients that follow a direction, beside NumPy, scikit-learn and SciPy."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from scipy.optimize import linprog

from kan_model.splines.bspline import uniform_knots
from kan_model.splines.rising import directed_coefficients, directed_weights, nearest_directed, ordered_between

SIGNS = torch.tensor([[1, -1, 0]], dtype=torch.int8)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_steps_lose_their_sign() -> None:
    """The example of the module, its mirror image, and an edge that is free."""
    given = torch.tensor([[[0.0, 2, 1, 4], [0.0, 2, 1, 4], [0.0, 2, 1, 4]]])
    wanted = [[[0, 2, 3, 6], [0, -2, -3, -6], [0, 2, 1, 4]]]
    assert directed_coefficients(given, SIGNS).tolist() == wanted


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_parameters_follow_their_direction(dtype: torch.dtype) -> None:
    """Also after rounding: neighbours are never out of order, in either type. Free edges keep all bits."""
    given = random(200, 3, 13).to(dtype) * 1e3
    found = directed_coefficients(given, SIGNS.expand(200, 3))
    assert (found[:, 0].diff() >= 0).all()
    assert (found[:, 1].diff() <= 0).all()
    assert torch.equal(found[:, 2], given[:, 2])


def test_coefficients_in_order_stay_bit_for_bit() -> None:
    """So the numbers of a published network mean themselves."""
    given = random(50, 3, 9).float().sort(dim=-1).values
    given[:, 1] = given[:, 1].flip(-1)
    signs = SIGNS.expand(50, 3)
    assert torch.equal(directed_coefficients(given, signs), given)
    assert torch.equal(nearest_directed(given.double(), signs), given.double())


def test_no_step_is_stuck_at_zero() -> None:
    """Equal neighbours have a gradient, whether other steps are turned or not."""
    given = torch.tensor([[[1.0, 1, 1], [0.0, -1, -1], [0.0, 0, 0]]], requires_grad=True)
    found = directed_coefficients(given, torch.ones(1, 3, dtype=torch.int8))
    (gradient,) = torch.autograd.grad((found * torch.tensor([1.0, 10, 100])).sum(), given)
    assert (gradient[:, :2, -1] == 100).all()


def test_the_gradient_is_that_of_differences() -> None:
    """Away from steps of 0 autograd agrees with finite differences, in both directions."""
    given = random(2, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: directed_coefficients(c, SIGNS.expand(2, 3)), given)
    weights = random(2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: directed_weights(w, SIGNS.expand(2, 3)), weights)


def test_weights_have_the_sign_of_their_direction() -> None:
    """A free weight keeps its own."""
    assert directed_weights(torch.tensor([[-2.0, -2, -2], [3.0, 3, 3]]), SIGNS.expand(2, 3)).tolist() == [
        [2, -2, -2],
        [3, -3, 3],
    ]


def test_a_spline_of_such_coefficients_never_falls() -> None:
    """SciPy's derivative of it is nowhere negative, for each degree."""
    for degree in range(1, 6):
        knots = uniform_knots(torch.tensor([[-1.0, 1.0]], dtype=torch.float64), 7, degree)[0].numpy()
        coefficients = directed_coefficients(random(1, 3, 7 + degree, seed=degree), SIGNS)[0, 0].numpy()
        slope = BSpline(knots, coefficients, degree).derivative()
        assert slope(np.linspace(-1, 1, 5001)).min() >= -1e-12 * np.ptp(coefficients)


def test_the_nearest_coefficients_are_those_of_a_linear_program() -> None:
    """No rising sequence has a smaller largest difference, by SciPy's solver."""
    given = random(1, 3, 8, seed=3)
    found = nearest_directed(given, torch.ones(1, 3, dtype=torch.int8))
    assert (found.diff() >= 0).all()
    for edge in range(3):
        y = given[0, edge].numpy()
        count = len(y)
        # Variables: the sequence and its largest difference, which is minimized.
        order = np.hstack([np.eye(count)[:-1] - np.eye(count)[1:], np.zeros((count - 1, 1))])
        near = np.vstack([np.hstack([sign * np.eye(count), -np.ones((count, 1))]) for sign in (1, -1)])
        best = linprog(
            np.eye(count + 1)[-1],
            A_ub=np.vstack([order, near]),
            b_ub=np.concatenate([np.zeros(count - 1), y, -y]),
            bounds=(None, None),
        )
        assert float((found[0, edge] - given[0, edge]).abs().max()) == pytest.approx(best.fun, abs=1e-9)


def test_free_coefficients_stay_between_the_fixed_ones() -> None:
    """The fixed ones keep all bits, whatever the free ones are; in order, all stay."""
    fixed = random(1, 3, 10, seed=4).sort(dim=-1).values
    fixed[:, 1] = fixed[:, 1].flip(-1)
    is_free = torch.zeros(1, 3, 10, dtype=torch.bool)
    is_free[..., [0, 3, 4, 5, 9]] = True
    found = ordered_between(torch.where(is_free, 5 * random(1, 3, 10, seed=5), fixed), is_free, SIGNS)
    assert torch.equal(found[~is_free], fixed[~is_free])
    assert (found[:, 0].diff() >= 0).all()
    assert (found[:, 1].diff() <= 0).all()
    assert torch.equal(ordered_between(fixed, is_free, SIGNS), fixed)
