"""Refinement keeps the function."""

from collections.abc import Callable

import pytest
import torch

from kan_model import KAN, refine_grid
from kan_model.grid import replace_knots


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_refining_to_a_multiple_is_exact_everywhere_under_clamp(
    make_kan: Callable[..., KAN], degree: int, factor: int, uneven: bool
) -> None:
    """Knot insertion leaves every finite input's answer unchanged to 1e-10, inside and far outside."""
    kan = make_kan(degree=degree, grid_size=4, uneven=uneven)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, dtype=torch.float64, generator=generator) * torch.tensor([1.0, 10.0, 1e6])
    refined = refine_grid(kan, 4 * factor)
    assert refined.layers[0].grid_size == 4 * factor
    torch.testing.assert_close(refined(x), kan(x), atol=1e-10, rtol=1e-10)


def test_refining_under_decay_is_exact_inside_the_domain(make_kan: Callable[..., KAN]) -> None:
    """Only the tails beyond the domain depend on the intervals."""
    kan = make_kan((3, 2), outside="decay")
    low, high = kan.layers[0].domain.T
    x = low + (high - low) * torch.rand(300, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(refine_grid(kan, 10)(x), kan(x), atol=1e-10, rtol=0)


@pytest.mark.parametrize("uneven", [False, True])
def test_refining_to_any_other_size_comes_close(make_kan: Callable[..., KAN], uneven: bool) -> None:
    """Least squares on a grid twice as fine and more: within 2 % of a wild random spline, the argument untouched."""
    kan = make_kan((3, 2), grid_size=5, uneven=uneven)
    before = kan.layers[0].coefficients.detach().clone()
    low, high = kan.layers[0].domain.T
    x = low + (high - low) * torch.rand(300, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = kan(x)
    assert (refine_grid(kan, 13)(x) - y).abs().max() < 0.02 * (y.max() - y.min())
    assert torch.equal(kan.layers[0].coefficients, before)


def test_float32_networks_refine_within_float32(make_kan: Callable[..., KAN]) -> None:
    """The change of grid is computed in float64 and rounded once."""
    kan = make_kan(dtype=torch.float32, uneven=True)
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(refine_grid(kan, 20)(x), kan(x), atol=2e-5, rtol=1e-5)


def test_coarser_is_refused(make_kan: Callable[..., KAN]) -> None:
    """A refinement has at least as many intervals."""
    with pytest.raises(ValueError, match="grid_size is 3, layer 0 has 5"):
        refine_grid(make_kan(), 3)


def test_replace_knots_keeps_the_function_when_the_new_grid_can_hold_it(make_kan: Callable[..., KAN]) -> None:
    """Knots that include the old ones lose nothing."""
    layer = make_kan((3, 2), grid_size=4).layers[0]
    finer = refine_grid(KAN.of_layers([layer]), 8).layers[0]
    low, high = layer.domain.T
    x = low + (high - low) * torch.rand(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(replace_knots(layer, finer.all_knots())(x), layer(x), atol=1e-9, rtol=0)
