"""Refinement keeps the function."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from kan_model import KAN, KANConfig, refine_grid
from kan_model.grids.refinement import replace_knots
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.splines.bspline import uniform_knots


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


@pytest.mark.parametrize("degree", [1, 2])
def test_twice_as_many_intervals_are_a_subdivision_to_the_last_bit(degree: int) -> None:
    """Lane and Riesenfeld: each coefficient twice, then the means of neighbours, `degree` times."""
    layer = KAN(KANConfig((2, 3), grid_size=4, degree=degree), dtype=torch.float64).layers[0]
    whole = torch.randint(-9, 9, layer.coefficients.shape, generator=torch.Generator().manual_seed(0)).double()
    kan = KAN.of_layers([layer.changed(coefficients=whole)])
    wanted = whole.repeat_interleave(2, dim=-1)
    for _ in range(degree):
        wanted = (wanted[..., 1:] + wanted[..., :-1]) / 2
    torch.testing.assert_close(refine_grid(kan, 8).layers[0].coefficients, wanted, atol=0, rtol=0)


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
    with pytest.raises(ValueError, match="grid_size is 3"):
        refine_grid(make_kan(), 3)


def test_replace_knots_keeps_the_function_when_the_new_grid_can_hold_it(make_kan: Callable[..., KAN]) -> None:
    """Knots that include the old ones lose nothing."""
    layer = make_kan((3, 2), grid_size=4).layers[0]
    finer = refine_grid(KAN.of_layers([layer]), 8).layers[0]
    low, high = layer.domain.T
    x = low + (high - low) * torch.rand(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(replace_knots(layer, finer.all_knots())(x), layer(x), atol=1e-9, rtol=0)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_knots_beyond_the_domain_repeat_the_interval_beside_them(make_kan: Callable[..., KAN], degree: int) -> None:
    """Under decay they shape the tails: the first interval repeats before the domain, the last one after it."""
    layer = refine_grid(make_kan((3, 2), degree=degree, uneven=True), 12).layers[0]
    steps = layer.all_knots().diff(dim=1)
    torch.testing.assert_close(steps[:, :degree], steps[:, degree : degree + 1].expand(-1, degree))
    torch.testing.assert_close(steps[:, -degree:], steps[:, -degree - 1 : -degree].expand(-1, degree))


def test_a_wider_domain_keeps_the_function_on_the_old_one(make_kan: Callable[..., KAN]) -> None:
    """The fit is where both domains overlap: beyond the old one there is nothing to keep, and nothing to give up for.

    The new grid holds the old breaks, so the function on the old domain is one of its splines.
    """
    layer = make_kan((3, 2), grid_size=4, uneven=True).layers[0]
    layer = layer.changed(base_weight=torch.zeros_like(layer.base_weight))
    inner = layer.all_knots()[:, 3:-3]
    steps = torch.tensor([0.3, 1.0, 1.7, 2.9, 3.1], dtype=torch.float64)
    wider = replace_knots(layer, torch.cat([inner[:, :1] - steps.flip(0), inner, inner[:, -1:] + steps], dim=1))
    low, high = layer.domain.T
    x = low + (high - low) * torch.linspace(0, 1, 200, dtype=torch.float64).unsqueeze(1)
    torch.testing.assert_close(wider(x), layer(x), atol=1e-9, rtol=0)
    assert wider.grid_size == 8


@pytest.mark.parametrize("uneven", [False, True])
def test_symbolic_edges_are_carried_along(make_kan: Callable[..., KAN], uneven: bool) -> None:
    """Their numbers do not change, and neither does the function beside them, by refining or by other knots."""
    edges = [SymbolicEdge(1, 2, "sin", 0.1, 0.2, 0.3, 0.4), SymbolicEdge(0, 0, "x^3", 0.3, 0.1, -2.0, 0.0)]
    layer = make_kan((3, 2), grid_size=4, uneven=uneven).layers[0].with_symbolic(edges)
    x = torch.randn(300, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    refined = refine_grid(KAN.of_layers([layer]), 12).layers[0]
    replaced = replace_knots(layer, refined.all_knots())
    for changed, tolerance in ((refined, 1e-10), (replaced, 1e-9)):
        assert changed.symbolic == layer.symbolic
        assert changed.grid_size == 12
        torch.testing.assert_close(changed(x), layer(x), atol=tolerance, rtol=1e-10)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([-2.0, -1.0, 0.0, 0.0, 1.0, 2.0], r"feature 1 .*increasing"),
        ([-2.0, -1.0, 0.5, 0.0, 1.0, 2.0], r"feature 1 .*increasing"),
        ([-2.0, -1.0, 0.0, torch.nan, 1.0, 2.0], r"feature 1 .* finite"),
        ([4.0, 5.0, 6.0, 7.0, 8.0, 9.0], r"feature 1 .*\[5.0, 8.0\].*overlaps"),
        # A domain that only touches the old one has no point inside both.
        ([-4.5, -3.5, -3.0, -2.5, -1.5, -0.5], r"feature 1 .*\[-3.5, -1.5\]"),
    ],
)
def test_knots_that_no_fit_can_use_are_refused(make_kan: Callable[..., KAN], row: list[float], message: str) -> None:
    """Before the fit, with the feature; a domain apart from the old one leaves nothing to fit."""
    layer = make_kan((3, 2), degree=1).layers[0]
    knots = torch.tensor([[-3.0, -1.0, 0.0, 0.5, 1.0, 2.0], row, [-3.0, -1.0, 0.0, 0.5, 1.0, 2.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        replace_knots(layer, knots)


def test_every_new_interval_has_the_same_weight_in_the_fit(make_kan: Callable[..., KAN]) -> None:
    """Against NumPy's weighted least squares on 1,000 points between any two neighbouring knots, old or new."""
    layer = make_kan((1, 1), grid_size=7, uneven=True).layers[0]
    breaks = np.array([-0.9, -0.85, -0.3, 0.0, 0.05, 0.9])
    knots = np.concatenate([[-1.2, -1.1, -1.0], breaks, [1.0, 1.1, 1.2]])
    fitted = replace_knots(layer, torch.from_numpy(knots)[None])
    old = BSpline(layer.all_knots()[0].numpy(), layer.coefficients[0, 0].detach().numpy(), 3)
    assert old.t[3] < -0.9 < 0.9 < old.t[-4]
    ends = np.unique(np.concatenate([old.t[(old.t > -0.9) & (old.t < 0.9)], breaks]))
    points = (ends[:-1, None] + np.diff(ends)[:, None] * (np.arange(1000) + 0.5) / 1000).ravel()
    narrow = np.diff(breaks)[np.searchsorted(breaks, points) - 1]
    weights = np.sqrt(np.repeat(np.diff(ends), 1000) / narrow)[:, None]
    basis = BSpline.design_matrix(points, knots, 3).toarray()
    wanted = np.linalg.lstsq(weights * basis, weights[:, 0] * old(points))[0]
    np.testing.assert_allclose(fitted.coefficients[0, 0].detach().numpy(), wanted, atol=1e-5)


def test_of_several_domains_apart_the_first_is_named(make_kan: Callable[..., KAN]) -> None:
    """One message, with the first feature at fault."""
    layer = make_kan((3, 2)).layers[0]
    with pytest.raises(ValueError, match=r"feature 0 .*overlaps"):
        replace_knots(layer, layer.all_knots() + 100)


@pytest.mark.parametrize("rows", [1, 4])
def test_knots_for_other_features_are_refused(make_kan: Callable[..., KAN], rows: int) -> None:
    """One row a feature, never one row for all."""
    layer = make_kan((3, 2)).layers[0]
    with pytest.raises(ValueError, match=f"{rows} features; wanted 3"):
        replace_knots(layer, layer.all_knots()[[0] * rows])


@pytest.mark.parametrize("grid_size", [1000, 1001])
def test_refining_until_knots_meet_is_refused(grid_size: int) -> None:
    """Near 1e6 float32 has 16 numbers in an interval of 1."""
    domain = torch.tensor([[1e6, 1e6 + 5]])
    config = KANConfig((1, 1), domain=(1e6, 1e6 + 5))
    layer = replace_knots(KAN(config).layers[0], uniform_knots(domain, 5, 3))
    with pytest.raises(ValueError, match="knots of feature 0"):
        refine_grid(KAN.of_layers([layer]), grid_size)


def test_refined_coefficients_are_those_of_the_rounded_knots() -> None:
    """Near 1e6 float32 rounds a third of an interval of 1 to 5/16. The function stays the same all the same."""
    config = KANConfig((1, 1), domain=(1e6, 1e6 + 5), noise=0.5)
    layer = replace_knots(KAN(config).layers[0], uniform_knots(torch.tensor([[1e6, 1e6 + 5]]), 5, 3))
    layer = layer.changed(base_weight=torch.zeros_like(layer.base_weight))
    finer = refine_grid(KAN.of_layers([layer]), 15).layers[0]
    x = 1e6 + torch.linspace(0, 5, 301, dtype=torch.float64).unsqueeze(1)
    before, after = (each.changed().double()(x) for each in (layer, finer))
    assert (after - before).abs().max() < 1e-5 * before.abs().max()
