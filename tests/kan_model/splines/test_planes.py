"""Planes of basis functions against SciPy."""

import itertools

import pytest
import torch
from torch import Tensor

from kan_model.splines.bspline import uniform_knots
from kan_model.splines.planes import Own, Shared, UniformPlanes, uniform_planes
from kan_model.splines.uneven_planes import UnevenPlanes, uneven_planes
from tests.kit.scipy_basis import check_values_and_slopes

CASES = [
    case
    for case in itertools.product((1, 2, 3, 4, 5), (1, 2, 9), ("clamp", "decay"), (False, True))
    if case[0] > 1 or not case[3]
]


def make_planes(
    degree: int, grid_size: int, outside: str, uneven: bool
) -> tuple[UniformPlanes | UnevenPlanes, Tensor, Tensor]:
    """The planes of two features, their knots, and the interval of each in which splines are not constant."""
    domain = torch.tensor([[-1.0, 2.0], [0.0, 0.5]], dtype=torch.float64)
    knots = uniform_knots(domain, grid_size, degree)
    if uneven:
        random = torch.Generator().manual_seed(degree)
        knots = torch.cumsum(torch.rand(knots.shape, generator=random, dtype=torch.float64) + 0.1, dim=1)
    planes = uneven_planes(knots, degree, outside) if uneven else uniform_planes(domain, grid_size, degree, outside)
    return planes, knots, knots[:, [degree, -degree - 1]] if outside == "clamp" else knots[:, [0, -1]]


@pytest.mark.parametrize(("degree", "grid_size", "outside", "uneven"), CASES)
def test_values_and_slopes_are_scipys(degree: int, grid_size: int, outside: str, uneven: bool) -> None:
    """At random points: every basis function, and the derivative of each by way of a gradient of 1 for it alone."""
    planes, knots, ends = make_planes(degree, grid_size, outside, uneven)
    random = torch.Generator().manual_seed(0)
    x = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * torch.rand(2, 40, generator=random, dtype=torch.float64)
    check_values_and_slopes(planes, x, knots, degree)


@pytest.mark.parametrize(("degree", "grid_size", "outside", "uneven"), CASES)
def test_some_features_are_as_among_all(degree: int, grid_size: int, outside: str, uneven: bool) -> None:
    """The planes of the second feature alone give its values, with and without slopes."""
    planes, _, ends = make_planes(degree, grid_size, outside, uneven)
    x = ends.lerp(ends.flip(1), 0.3)
    values, second = torch.empty(2, planes.count, 2, dtype=torch.float64), torch.empty(1, planes.count, 2).double()
    planes.write(x, values, torch.empty(len(x), planes.slope_count, x.shape[1], dtype=torch.float64))
    planes.select(slice(1, 2)).write(x[1:], second, None)
    torch.testing.assert_close(second, values[1:], atol=1e-14, rtol=1e-14)


@pytest.mark.parametrize("uneven", [False, True])
def test_beyond_the_domain_a_clamped_spline_is_constant(uneven: bool) -> None:
    """The values are those at the end, and no gradient comes back; at the end itself one does."""
    planes, _, ends = make_planes(3, 4, "clamp", uneven)
    x = torch.cat([ends[:, 1:], ends[:, 1:] + torch.tensor([1e-6, 1e30], dtype=torch.float64)], dim=1)
    values, slopes = (
        torch.empty(2, planes.count, 3, dtype=torch.float64),
        torch.empty(len(x), planes.slope_count, x.shape[1], dtype=torch.float64),
    )
    planes.write(x, values, slopes)
    torch.testing.assert_close(values[..., 1:], values[..., :1].expand(-1, -1, 2), atol=0, rtol=0)
    gradient = torch.zeros_like(x)
    planes.pull_back(torch.arange(planes.count).double().view(1, -1, 1).repeat(2, 1, 3), x, slopes, gradient)
    assert (gradient[:, 0] != 0).all()
    assert not gradient[:, 1:].any()


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_one_domain_of_all_features_gives_scipys_values(degree: int, outside: str) -> None:
    """Its ends are numbers; values and derivatives are SciPy's, and those of features with domains of their own."""
    domain = torch.tensor([[-1.0, 0.5]], dtype=torch.float64).expand(2, 2)
    shared, own = uniform_planes(domain, 4, degree, outside), uniform_planes(domain + 1e6, 4, degree, outside)
    assert isinstance(shared.domain, Shared)
    assert isinstance(own.domain, Own)
    knots = uniform_knots(domain, 4, degree)
    x = torch.rand(2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1.5 - 1
    values = check_values_and_slopes(shared, x, knots, degree)
    others = torch.empty_like(values)
    own.write(x + 1e6, others, None)
    # 1e6 has 2e-10 units of rounding.
    torch.testing.assert_close(others, values, atol=1e-9, rtol=0)


def test_the_ends_of_one_domain_have_a_gradient() -> None:
    """At an end the gradient is that of a feature with a domain of its own, beyond it 0, as for torch.clamp."""
    domain = torch.tensor([[-1.0, 0.5]]).expand(2, 2)
    x = torch.tensor([[-1.0, 0.5, -1.0 - 2e-7, 0.5 + 1e-7]]).expand(2, 4)
    planes = uniform_planes(domain, 4, 3, "clamp")
    values, slopes, gradient = torch.empty(2, 7, 4), torch.empty(2, 7, 4), torch.zeros(2, 4)
    planes.write(x, values, slopes)
    planes.pull_back(torch.arange(7.0).view(1, 7, 1).repeat(2, 1, 4), x, slopes, gradient)
    assert (gradient[:, :2] != 0).all()
    assert not gradient[:, 2:].any()
