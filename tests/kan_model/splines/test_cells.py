"""Cells and places against SciPy."""

import itertools

import numpy as np
import pytest
import torch

from kan_model.splines.bspline import uniform_knots
from kan_model.splines.cells import cells_of
from tests.kit.scipy_basis import check_values_and_slopes

CASES = list(itertools.product((1, 2, 3, 4, 5), (1, 2, 9), ("clamp", "decay"), (False, True)))


@pytest.mark.parametrize(("degree", "grid_size", "outside", "uneven"), CASES)
def test_values_and_slopes_are_scipys(degree: int, grid_size: int, outside: str, uneven: bool) -> None:
    """At random points: every basis function, and the derivative of each by way of a gradient of 1 for it alone.

    The cells of the second feature alone give its values.
    """
    random = torch.Generator().manual_seed(degree)
    domain = torch.tensor([[-1.0, 2.0], [0.0, 0.5]], dtype=torch.float64)
    knots = uniform_knots(domain, grid_size, degree)
    if uneven:
        knots = torch.cumsum(torch.rand(knots.shape, generator=random, dtype=torch.float64) + 0.1, dim=1)
        domain = knots[:, [degree, -degree - 1]]
    cells = cells_of(domain, knots if uneven else None, grid_size, degree, outside)
    ends = domain if outside == "clamp" else knots[:, [0, -1]]
    x = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * torch.rand(2, 40, generator=random, dtype=torch.float64)
    values = check_values_and_slopes(cells, x, knots, degree)
    second = torch.empty(1, cells.count, 40, dtype=torch.float64)
    cells.select(slice(1, 2)).write(x[1:], second, None)
    torch.testing.assert_close(second, values[1:], atol=1e-14, rtol=1e-14)


@pytest.mark.parametrize("uneven", [False, True])
def test_numbers_beyond_the_cells_are_at_their_end(uneven: bool) -> None:
    """Beyond the first and last cell u is 0 and 1; only what is in a cell counts as inside; NaN gets a cell too."""
    knots = torch.tensor([[0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0]]) if uneven else None
    domain = torch.tensor([[2.0, 5.0]])
    cells = cells_of(domain, knots, 2, 2, "clamp")
    x = torch.tensor([[-1e30, 1.9, 2.0, 5.0, 5.1, float("inf"), float("nan")]])
    place = cells.locate(x)
    assert cells.is_inside(x).flatten().tolist() == [False, False, True, True, False, False, False]
    assert place.u[0, :6].tolist() == [0, 0, 0, 1, 1, 1]
    assert place.number.flatten().tolist()[:6] == [0, 0, 0, 1, 1, 1]
    assert place.u[0, 6].isnan()
    assert 0 <= int(place.number[0, 6]) < cells.cells


@pytest.mark.parametrize("grid_size", [2, 129, 130])
def test_a_cell_holds_its_points(grid_size: int) -> None:
    """On uneven grids of few and of many cells an edge belongs to the cell on its right, as in numpy.searchsorted."""
    random = torch.Generator().manual_seed(grid_size)
    knots = torch.cumsum(torch.rand(1, grid_size + 5, generator=random, dtype=torch.float64) + 0.1, dim=1)
    cells = cells_of(knots[:, [2, -3]], knots, grid_size, 2, "clamp")
    x = torch.cat([knots[:, 2:-2], torch.lerp(knots[:, 2:-3], knots[:, 3:-2], 0.5)], dim=1)
    between = cells.edges[0, 1:-1].numpy()
    assert cells.locate(x).number[0].tolist() == np.searchsorted(between, x[0].numpy(), side="right").tolist()
