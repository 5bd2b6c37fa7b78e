"""Radial powers: the layers that they apply to, their number of columns, and the digits that they lose."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANConfig
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.onnx_graph import GraphBuilder
from kan_model.onnx_runtime import run

Answers = Callable[[KAN, NDArray[np.float32]], NDArray[np.float64]]
Domain = tuple[float, float] | tuple[tuple[float, float], ...]


def test_they_are_for_coarse_grids_under_clamp(make_kan: Callable[..., KAN]) -> None:
    """Never under decay, where they do not end; up to 32 intervals."""
    for uneven in (False, True):
        assert RadialPowers().applies(make_kan(grid_size=32, uneven=uneven).layers[0])
        assert not RadialPowers().applies(make_kan(grid_size=33, uneven=uneven).layers[0])
        assert not RadialPowers().applies(make_kan(grid_size=2, outside="decay", uneven=uneven).layers[0])


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("grid_size", "uneven"), [(1, False), (5, False), (1, True), (3, True)])
def test_even_and_odd_degrees(
    degree: int,
    grid_size: int,
    uneven: bool,
    make_kan: Callable[..., KAN],
    float64_answers: Answers,
) -> None:
    """With and without knots inside, on equal and unequal intervals: the same function as in float64."""
    kan = make_kan((2, 3), degree=degree, grid_size=grid_size, uneven=uneven)
    rows = np.random.default_rng(0).uniform(-3, 3, (60, 2)).astype(np.float32)
    model = predicting_model(kan, None, None, [RadialPowers()])
    # High degrees cost digits (test_strategies holds how many); a wrong column is off by the answer itself.
    np.testing.assert_allclose(run(model, rows), float64_answers(kan, rows), atol=1e-2 if degree == 5 else 3e-4)


@pytest.mark.parametrize("grid_size", [1, 2, 5, 6])
@pytest.mark.parametrize("degree", [2, 3, 4, 5])
def test_columns_are_as_few_as_the_space_has_dimensions(
    degree: int, grid_size: int, make_kan: Callable[..., KAN]
) -> None:
    """The number of columns, with the constant, is G + degree: the dimension of the spline space."""
    layer = make_kan((2, 3), degree=degree, grid_size=grid_size).layers[0]
    columns = RadialPowers().emit(GraphBuilder("x", 2), layer, "x")
    assert sum(len(term.weight) for term in columns.terms) + 1 == grid_size + degree
    assert columns.constant.shape == (2, 3)


def test_the_fewest_ops_are_written(make_kan: Callable[..., KAN]) -> None:
    """No copy but the one that repeats x, and each op once: what a single row's time is made of."""
    layer = make_kan((3, 4, 4), dtype=torch.float32).layers[1]
    graph = predicting_model(KAN.of_layers([layer]), None, None, [RadialPowers()]).graph
    kinds = sorted(node.op_type for node in graph.node)
    assert kinds == ["Abs", "Clip", "Gemm", "Gemm", "Gemm", "Mul", "Mul", "Mul", "Sigmoid", "Sub", "Tile"]


@pytest.mark.parametrize("degree", [2, 3, 4, 5])
@pytest.mark.parametrize("domain", [(-1, 1), (2, 3), ((-3, -1), (-1, 5), (0, 1))])
def test_columns_lie_between_what_is_told(degree: int, domain: Domain) -> None:
    """For every input, and the ends are met: int8 has 255 steps between them."""
    layer = KAN(KANConfig((3, 2), grid_size=5, degree=degree, outside="clamp", domain=domain), seed=0).layers[0]
    low, high = layer.domain.double().numpy().T
    rows = (low + (high - low) * np.linspace(-0.5, 1.5, 401)[:, None]).astype(np.float32)
    for index in range(len(RadialPowers().emit(GraphBuilder("x", 3), layer, "x").terms)):
        graph = GraphBuilder("x", 3)
        term = RadialPowers().emit(graph, layer, "x").terms[index]
        values = run(graph.build({"columns": (term.value, (3 * len(term.weight),))}, "columns", {}), rows)
        size = term.high - term.low
        assert term.low - 1e-5 * size <= values.min() <= term.low + 0.01 * size
        assert term.high - 0.01 * size <= values.max() <= term.high + 1e-5 * size


def test_random_coefficients_on_fine_grids_cost_digits(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """The powers of 20 intervals cancel half of float32's digits, those of 5 do not: why errors are measured."""
    errors = []
    for grid_size in (5, 20):
        kan = make_kan((4, 2), grid_size=grid_size, dtype=torch.float32)
        rows = np.random.default_rng(0).uniform(-1, 1, (200, 4)).astype(np.float32)
        wanted = float64_answers(kan, rows)
        got = run(predicting_model(kan, None, None, [RadialPowers()]), rows)
        errors.append(np.max(np.abs(got - wanted) / np.ptp(wanted, axis=0)))
    assert errors[0] < 1e-5
    assert errors[1] > 1e-4
