"""Weights with which given functions add up to splines."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.strategies import change_of_basis
from kan_model.lowering.strategies.change_of_basis import edge_coefficients, spline_weights
from kan_model.network.layer import KANLayer, Outside
from kan_model.splines.bspline import basis

Values = NDArray[np.float64]


def basis_of(layer: KANLayer) -> Callable[[Values, slice], Values]:
    """The layer's own basis functions as columns."""
    knots = layer.all_knots().detach().double()
    return lambda points, part: basis(torch.from_numpy(points), knots[part], layer.degree).numpy().transpose(2, 0, 1)


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
def test_the_basis_weighs_its_coefficients(outside: Outside, uneven: bool, make_kan: Callable[..., KAN]) -> None:
    """In order [columns, inputs, outputs]; also with more inputs than are solved at once, each on its own grid."""
    for inputs in (3, change_of_basis._INPUTS_AT_ONCE + 2):
        layer = make_kan((inputs, 2), outside=outside, uneven=uneven).layers[0]
        weights = spline_weights(layer, basis_of(layer))
        np.testing.assert_allclose(weights, edge_coefficients(layer).transpose(2, 1, 0), atol=1e-10)


def test_equal_grids_are_solved_once(make_kan: Callable[..., KAN]) -> None:
    """For equal grids the functions are computed for one input only, and all inputs get its weights."""
    layer = make_kan((2, 3, 4)).layers[1]
    asked = []

    def functions(points: Values, part: slice) -> Values:
        asked.append(points.shape[1])
        return basis_of(layer)(points, part)

    weights = spline_weights(layer, functions)
    assert asked == [1]
    np.testing.assert_allclose(weights, edge_coefficients(layer).transpose(2, 1, 0), atol=1e-10)


def test_columns_may_be_of_any_size(make_kan: Callable[..., KAN]) -> None:
    """Twenty orders of magnitude apart, as powers on wide and narrow domains are: none is taken for rounding."""
    layer = make_kan((2, 3)).layers[0]
    size = 10.0 ** np.linspace(-10, 10, 8)[:, None, None]
    weights = spline_weights(layer, lambda points, part: size * basis_of(layer)(points, part))
    np.testing.assert_allclose(size * weights, edge_coefficients(layer).transpose(2, 1, 0), atol=1e-10)


def test_pruned_edges_weigh_nothing(
    make_kan: Callable[..., KAN], with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """Whatever their coefficients are."""
    layer = with_mask(make_kan((2, 2)).layers[0], np.array([[1, 0], [1, 1]], bool))
    assert not edge_coefficients(layer)[0, 1].any()
    assert not spline_weights(layer, basis_of(layer))[:, 1, 0].any()
    assert edge_coefficients(layer)[1, 1].all()


def test_weights_do_not_depend_on_where_memory_lies(make_kan: Callable[..., KAN]) -> None:
    """To the last bit, whatever else is in memory: a model that is lowered again is the same file."""
    layer = make_kan((1, 2), grid_size=8).layers[0]
    held, found = [], set()
    for size in np.random.default_rng(0).integers(1, 5000, 40):
        held.append(np.empty(size, np.uint8))
        found.add(spline_weights(layer, basis_of(layer)).tobytes())
    assert len(found) == 1
