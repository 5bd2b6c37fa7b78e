"""The Cox–de Boor recursion: correct on every grid."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from kan_model import KAN
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.network.layer import Outside
from kan_model.onnx_graph import GraphBuilder
from kan_model.onnx_runtime import run


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_columns_are_the_basis(degree: int, uneven: bool, outside: Outside, make_kan: Callable[..., KAN]) -> None:
    """SciPy's design matrix, to a few units of rounding; their sum is 1; each between 0 and 1, as is told."""
    layer = make_kan((2, 3), degree=degree, uneven=uneven, outside=outside, grid_size=12).layers[0]
    graph = GraphBuilder("x", 2)
    splines = CoxDeBoor().emit(graph, layer, "x")
    (term,) = splines.terms
    count = 12 + degree
    model = graph.build({"columns": (term.value, (2 * count,))}, "basis", {})
    knots = layer.all_knots().numpy().astype(np.float32).astype(np.float64)
    ends = knots[:, [degree, -degree - 1]].T
    rows = (ends[0] + (ends[1] - ends[0]) * np.linspace(0.001, 0.999, 50)[:, None]).astype(np.float32)
    basis = run(model, rows).reshape(50, count, 2)
    for i in (0, 1):
        wanted = BSpline.design_matrix(rows[:, i].astype(np.float64), knots[i], degree).toarray()
        np.testing.assert_allclose(basis[:, :, i], wanted, atol=1e-6)
    np.testing.assert_allclose(basis.sum(axis=1), 1, atol=1e-6)
    assert (term.low, term.high) == (0, 1)
    np.testing.assert_array_equal(term.weight, layer.coefficients.detach().numpy().transpose(2, 1, 0))


def test_it_applies_to_every_layer(make_kan: Callable[..., KAN]) -> None:
    """Cox–de Boor applies to every layer."""
    for outside in ("clamp", "decay"):
        for uneven in (False, True):
            layers = make_kan(grid_size=60, degree=5, outside=outside, uneven=uneven).layers
            assert all(CoxDeBoor().applies(layer) for layer in layers)


def test_beyond_the_knots_decay_is_zero_and_clamp_stays(make_kan: Callable[..., KAN]) -> None:
    """Exactly zero, up to 1e6; under clamp the last basis functions hold."""
    for outside in ("clamp", "decay"):
        layer = make_kan((1, 1), outside=outside).layers[0]
        graph = GraphBuilder("x", 1)
        (term,) = CoxDeBoor().emit(graph, layer, "x").terms
        model = graph.build({"columns": (term.value, (8,))}, "basis", {})
        basis: NDArray[np.float32] = run(model, np.array([[-1e6], [-50], [50], [1e6]], np.float32))
        np.testing.assert_allclose(basis.sum(axis=1), 0 if outside == "decay" else 1, atol=1e-6)
        assert outside == "clamp" or not basis.any()
