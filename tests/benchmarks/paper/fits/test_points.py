"""Points of a function."""

import torch
from torch import nn

from benchmarks.paper.fits.points import Target, points_of, scaled_rmse

PLANE = Target("plane", ((0, 10), (-1, 1)), lambda x, y: 3 * x + y)


def test_inputs_are_scaled_to_the_ranges() -> None:
    """-1 is the lower end of a range, 1 the upper, 0 the middle."""
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    assert PLANE.values(corners).flatten().tolist() == [-1, 31, 15]


def test_targets_have_mean_0_and_variance_1() -> None:
    """Those of training; the others are scaled as they are, and no set shares a point with another."""
    points = points_of(PLANE, seed=1, train_rows=200, judging_rows=100)
    assert abs(float(points.train.y.mean())) < 1e-12
    assert abs(float(points.train.y.std()) - 1) < 1e-12
    slope = (points.test.y[1] - points.test.y[0]) * points.scale
    assert torch.allclose(slope, PLANE.values(points.test.x[:2]).diff(dim=0)[0])
    rows = torch.cat([points.train.x, points.validation.x, points.test.x])
    assert len(torch.unique(rows, dim=0)) == 400
    assert points.inputs == 2


def test_the_same_seed_gives_the_same_points() -> None:
    """Another seed gives others."""
    first, again, other = (points_of(PLANE, seed, 20, 10).test.x for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_error_is_in_standard_deviations() -> None:
    """A network that answers 0 has the error 1 on the training points, up to the n - 1 of the variance."""
    points = points_of(PLANE, 0, 1000, 100)
    zero = nn.Linear(2, 1, dtype=torch.float64)
    with torch.no_grad():
        zero.weight.zero_()
        zero.bias.zero_()
    assert abs(scaled_rmse(zero, points.train) - 1) < 1e-3
