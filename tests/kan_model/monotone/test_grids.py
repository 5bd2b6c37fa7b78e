"""Finer and other grids of monotone networks: edges keep their directions and, as far as can be, their curves."""

import math

import torch

from kan_model import KANLayer, adapt_grid, refine_grid
from kan_model.grids.refinement import replace_knots
from tests.kan_model.monotone.conftest import rows, scrambled, stepped


def steep() -> KANLayer:
    """One edge that is a step: a least-squares fit of it to another grid swings on both sides."""
    return KANLayer(
        torch.zeros(1, 1, dtype=torch.float64),
        torch.tensor([[[0.0] * 12 + [1.0] * 11]], dtype=torch.float64),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]], dtype=torch.float64),
        directions=torch.ones(1, 1, dtype=torch.int8),
    )


def test_knot_insertion_changes_nothing() -> None:
    """A grid twice as fine gives the same answers."""
    kan = stepped(scrambled(0))
    x = torch.rand(500, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    torch.testing.assert_close(refine_grid(kan, 10)(x), kan(x), rtol=0, atol=1e-11)


def test_a_least_squares_fit_that_swings_is_straightened() -> None:
    """Without the direction coefficients fall; with it none does, and the curve is as near as the free one's."""
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    layer = steep()
    knots = (torch.arange(-3, 17, dtype=torch.float64) / 13 * 2 - 1)[None]
    free, kept = (replace_knots(each, knots) for each in (layer.changed(directions=None), layer))
    assert (free.coefficients.diff() < -1e-3).any()
    assert (kept.coefficients.diff() >= 0).all()
    error, free_error = ((each(x) - layer(x)).abs().max().item() for each in (kept, free))
    assert error <= free_error + (kept.coefficients - free.coefficients).abs().max().item()


def test_adapted_grids_keep_directions() -> None:
    """However far the grids move; where they may move little, answers do too."""
    kan = stepped(scrambled(1))
    far = adapt_grid(kan, rows(), grid_size=7, max_moved=math.inf).kan
    near = adapt_grid(kan, rows(), max_moved=0.02)
    for each in (far, near.kan):
        for layer in each.layers:
            assert layer.directions is not None
            assert (layer.coefficients.diff() * layer.directions.unsqueeze(-1) >= 0).all()
    assert max(near.moved) <= 0.02
