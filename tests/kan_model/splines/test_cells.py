"""Cells and places against SciPy."""

import itertools

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from kan_model.splines.bspline import uniform_knots
from kan_model.splines.cells import cells_of

CASES = list(itertools.product((1, 2, 3, 4, 5), (1, 2, 9), ("clamp", "decay"), (False, True)))


@pytest.mark.parametrize(("degree", "grid_size", "outside", "uneven"), CASES)
def test_values_and_slopes_are_scipys(degree: int, grid_size: int, outside: str, uneven: bool) -> None:
    """At random points of the cells, written to their places: every basis function and its derivative by SciPy."""
    random = torch.Generator().manual_seed(degree)
    domain = torch.tensor([[-1.0, 2.0], [0.0, 0.5]], dtype=torch.float64)
    knots = uniform_knots(domain, grid_size, degree)
    if uneven:
        knots = torch.cumsum(torch.rand(knots.shape, generator=random, dtype=torch.float64) + 0.1, dim=1)
        domain = knots[:, [degree, -degree - 1]]
    cells = cells_of(domain, knots if uneven else None, grid_size, degree, outside)
    ends = domain if outside == "clamp" else knots[:, [0, -1]]
    x = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * torch.rand(40, 2, generator=random, dtype=torch.float64)
    place, start = cells.locate(x), cells.locate(x).start()
    for found, order in ((place.values(), 0), (place.slopes() * (place.scale * torch.ones_like(x)).flatten(), 1)):
        every = torch.zeros(x.numel() * (grid_size + degree), dtype=torch.float64)
        for function, numbers in enumerate(found):
            every[start + function] = numbers
        wanted = np.zeros((40, 2, grid_size + degree))
        for feature, index in np.ndindex(2, grid_size + degree):
            support = knots[feature, index : index + degree + 2].numpy()
            element = BSpline.basis_element(support, extrapolate=False)
            values = element(x[:, feature].numpy()) if order == 0 else element.derivative()(x[:, feature].numpy())
            wanted[:, feature, index] = np.nan_to_num(values)
        np.testing.assert_allclose(every.view(wanted.shape), wanted, atol=1e-12 * max(1, np.abs(wanted).max()), rtol=0)


@pytest.mark.parametrize("uneven", [False, True])
def test_numbers_beyond_the_cells_are_at_their_end(uneven: bool) -> None:
    """Beyond the first and last cell u is 0 and 1; only what is in a cell counts as inside; NaN gets a cell too."""
    knots = torch.tensor([[0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0]]) if uneven else None
    domain = torch.tensor([[2.0, 5.0]])
    cells = cells_of(domain, knots, 2, 2, "clamp")
    x = torch.tensor([[-1e30], [1.9], [2.0], [5.0], [5.1], [float("inf")], [float("nan")]])
    place = cells.locate(x)
    assert cells.is_inside(x).flatten().tolist() == [False, False, True, True, False, False, False]
    assert place.u[:6].flatten().tolist() == [0, 0, 0, 1, 1, 1]
    assert place.number.flatten().tolist()[:6] == [0, 0, 0, 1, 1, 1]
    assert place.u[6].isnan()
    assert 0 <= int(place.number[6]) < cells.cells
