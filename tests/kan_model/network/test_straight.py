"""Straight edges: lines through two values, told from curves, the same answers at the two values."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from kan_model import KAN
from kan_model.network.straight import straight_inputs, straight_lines, straighten
from kan_model.network.symbolic_edge import SymbolicEdge

NAN = float("nan")


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_edges_keep_their_two_values(degree: int, uneven: bool, make_kan: Callable[..., KAN]) -> None:
    """At both values each edge, silu included, is what it was; between them the spline is SciPy's line."""
    (layer,) = make_kan((3, 4), degree=degree, uneven=uneven).layers
    low, high = layer.domain.T.double()
    low, high = low + 0.1 * (high - low), high - 0.2 * (high - low)
    straight = straighten(layer, low, high)
    with torch.no_grad():
        for ends in (low, high):
            wanted = copy.deepcopy(layer).double().edge_outputs(ends[None])
            got = copy.deepcopy(straight).double().edge_outputs(ends[None])
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
        at_low, at_high = (copy.deepcopy(layer).double().edge_outputs(ends[None])[0] for ends in (low, high))
    for place in range(3):
        spline = BSpline(straight.all_knots()[place].numpy(), straight.coefficients[2, place].detach().numpy(), degree)
        middle = float(low[place] + 0.25 * (high[place] - low[place]))
        wanted_there = float(0.75 * at_low[2, place] + 0.25 * at_high[2, place])
        assert float(spline(middle)) == pytest.approx(wanted_there, abs=1e-12)
    assert not straight.base_weight.any()


def test_other_edges_stay(make_kan: Callable[..., KAN]) -> None:
    """Those of an input without two values, pruned ones, and symbolic ones."""
    (layer,) = make_kan((3, 2), dtype=torch.float32).layers
    mask = torch.tensor([[1.0, 1, 1], [0, 1, 1]])
    layer = layer.changed(edge_mask=mask, symbolic=[SymbolicEdge(1, 2, "sin", 1, 0, 1, 0)])
    straight = straighten(layer, torch.tensor([-0.5, NAN, -0.5]), torch.tensor([0.5, NAN, 0.5]))
    torch.testing.assert_close(straight.coefficients[:, 1], layer.coefficients[:, 1], rtol=0, atol=0)
    torch.testing.assert_close(straight.coefficients[1, 0], layer.coefficients[1, 0], rtol=0, atol=0)
    assert straight.symbolic == layer.symbolic
    assert straight_inputs(straight).tolist() == [True, False, True]
    assert not straight_inputs(layer).any()


def test_two_values_beyond_the_domain_are_its_ends(make_kan: Callable[..., KAN]) -> None:
    """The spline is clamped, so only silu tells -9 from the lower end: the line has both values' edges there."""
    (layer,) = make_kan((2, 2)).layers
    low, high = torch.tensor([-9.0, -9.0]), torch.tensor([9.0, 9.0])
    straight = straighten(layer, low, high)
    with torch.no_grad():
        torch.testing.assert_close(straight(low[None].double()), layer(low[None].double()))
        torch.testing.assert_close(straight(high[None].double()), layer(high[None].double()))
    # Both beyond the same end: no line tells them apart.
    assert torch.equal(straighten(layer, torch.tensor([7.0, 7.0]), high).coefficients, layer.coefficients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("uneven", [False, True])
def test_lines_are_found(uneven: bool, dtype: torch.dtype, make_kan: Callable[..., KAN]) -> None:
    """With the slope and the constant that SciPy's evaluation of the spline has, also from rounded coefficients."""
    (layer,) = make_kan((4, 3), grid_size=9, uneven=uneven, dtype=dtype).layers
    low, high = layer.domain.T
    straight = straighten(layer, low, high)
    assert straight_inputs(straight).all()
    constant, slope = straight_lines(straight)
    spline = BSpline(straight.all_knots()[1].double().numpy(), straight.coefficients[2, 1].detach().double().numpy(), 3)
    for share in (0.1, 0.6):
        x = float(low[1] + share * (high[1] - low[1]))
        assert constant[2, 1] + slope[2, 1] * x == pytest.approx(float(spline(x)), rel=1e-6, abs=1e-6)


def test_curves_base_weights_and_decay_are_not_straight(make_kan: Callable[..., KAN]) -> None:
    """One bent edge, one base weight or the other policy is enough; a pruned edge does not count."""
    layer = make_kan((2, 2), dtype=torch.float32).layers[0]
    straight = straighten(layer, *layer.domain.T)
    bent = straight.coefficients.detach().clone()
    bent[1, 0, 3] += 1e-3
    assert straight_inputs(straight.changed(coefficients=bent)).tolist() == [False, True]
    pruned = straight.changed(coefficients=bent, edge_mask=torch.tensor([[1.0, 1], [0, 1]]))
    assert straight_inputs(pruned).all()
    weight = torch.tensor([[0.0, 0], [0, 1e-3]])
    assert straight_inputs(straight.changed(base_weight=weight)).tolist() == [True, False]
    assert not straight_inputs(straight.changed(outside="decay")).any()
