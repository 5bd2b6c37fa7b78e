"""Segments: their number of columns, and the digits that they keep on fine grids."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANConfig
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.segments import Segments
from kan_model.network.layer import KANLayer, Outside
from kan_model.onnx_graph import GraphBuilder
from kan_model.onnx_runtime import run

Answers = Callable[[KAN, NDArray[np.float32]], NDArray[np.float64]]


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("grid_size", "segments"), [(3, 1), (5, 1), (6, 2), (10, 2), (11, 3)])
def test_a_segment_costs_degree_minus_one_columns(
    grid_size: int, segments: int, degree: int, outside: Outside, make_kan: Callable[..., KAN]
) -> None:
    """In each a power for every knot inside and degree more; under decay degree for each tail."""
    layer = make_kan((2, 3), grid_size=grid_size, degree=degree, outside=outside).layers[0]
    (term,) = Segments(5).emit(GraphBuilder("x", 2), layer, "x").terms
    tails = 2 * degree if outside == "decay" else 0
    assert len(term.weight) == grid_size - segments + degree * segments + tails


def test_it_is_for_grids_that_it_divides(make_kan: Callable[..., KAN]) -> None:
    """Not where smaller segments say the same, nor where columns pass 96; uniform or not, both policies."""
    for outside in ("clamp", "decay"):
        for uneven in (False, True):
            sizes = [
                size
                for size in (1, 2, 3, 5, 6, 40, 60, 100)
                if Segments(5).applies(make_kan(grid_size=size, outside=outside, uneven=uneven).layers[0])
            ]
            assert sizes == [3, 5, 6, 40, 60]
    assert not Segments(10).applies(make_kan(grid_size=5).layers[0])
    assert Segments(10).applies(make_kan(grid_size=6).layers[0])


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
def test_fine_grids_keep_their_digits(
    outside: Outside, uneven: bool, make_kan: Callable[..., KAN], float64_answers: Answers
) -> None:
    """40 intervals with random coefficients, where truncated powers over the whole domain are off by 1e-2."""
    kan = make_kan((3, 2), grid_size=40, outside=outside, uneven=uneven, dtype=torch.float32)
    rows = np.random.default_rng(0).uniform(-3, 3, (300, 3)).astype(np.float32)
    wanted = float64_answers(kan, rows)
    got = run(predicting_model(kan, None, None, [Segments(5)]), rows)
    assert np.max(np.abs(got - wanted) / np.ptp(wanted, axis=0)) < 1e-4


def test_a_wide_domain_keeps_its_constant(float64_answers: Answers) -> None:
    """Fifth powers of 200 are 3e11: beside them the constant is no rounding error."""
    kan = KAN(KANConfig((2, 2), degree=5, grid_size=4, domain=(60.0, 260.0), noise=0.5))
    with torch.no_grad():
        kan.layers[0].base_weight.zero_()
    rows = np.random.default_rng(0).uniform(50, 270, (100, 2)).astype(np.float32)
    got = run(predicting_model(kan, None, None, [Segments(5)]), rows)
    np.testing.assert_allclose(got, float64_answers(kan, rows), atol=1e-3)


def test_starts_are_taken_as_float32_holds_them(float64_answers: Answers) -> None:
    """The middle between two float32 numbers need not be one: off by an ulp, it costs a whole answer here."""
    random = np.random.default_rng(125)
    steps = np.cumsum(10 ** random.uniform(-0.5, 0.5, (2, 42)), axis=1)
    knots = torch.from_numpy((-64.1 + 0.13 * steps / steps[:, -1:]).astype(np.float32))
    coefficients = torch.from_numpy(random.uniform(-1, 1, (2, 2, 38)).astype(np.float32))
    layer = KANLayer(torch.zeros(2, 2), coefficients, degree=3, outside="clamp", knots=knots)
    kan = KAN.of_layers([layer])
    low, high = layer.domain.numpy().T
    rows = (low + (high - low) * random.random((200, 2))).astype(np.float32)
    got = run(predicting_model(kan, None, None, [Segments(10)]), rows)
    np.testing.assert_allclose(got, float64_answers(kan, rows), atol=1e-2)


def test_columns_lie_between_what_is_told(make_kan: Callable[..., KAN]) -> None:
    """For every input, and both ends are met."""
    for degree in (1, 2, 3, 4, 5):
        for outside in ("clamp", "decay"):
            layer = make_kan((2, 3), degree=degree, grid_size=7, outside=outside).layers[0]
            graph = GraphBuilder("x", 2)
            (term,) = Segments(5).emit(graph, layer, "x").terms
            values = run(
                graph.build({"columns": (term.value, (2 * len(term.weight),))}, "columns", {}),
                np.linspace([-9, -9], [9, 9], 500).astype(np.float32),
            )
            np.testing.assert_allclose([values.min(), values.max()], [term.low, term.high], rtol=1e-5)
