"""Truncated powers: the layers that they apply to, their number of columns, and the digits that they lose."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.truncated_powers import TruncatedPowers
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder
from kan_model.onnx_runtime import run

Answers = Callable[[KAN, NDArray[np.float32]], NDArray[np.float64]]


def test_they_are_for_coarse_grids_under_clamp(make_kan: Callable[..., KAN]) -> None:
    """Never under decay, whose tails they lack; up to 32 intervals; uniform or not."""
    strategy = TruncatedPowers()
    for uneven in (False, True):
        assert strategy.applies(make_kan(grid_size=32, uneven=uneven).layers[0])
        assert not strategy.applies(make_kan(grid_size=33, uneven=uneven).layers[0])
        assert not strategy.applies(make_kan(grid_size=2, outside="decay", uneven=uneven).layers[0])


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("grid_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("uneven", [False, True])
def test_even_and_odd_numbers_of_knots(
    degree: int,
    grid_size: int,
    uneven: bool,
    make_kan: Callable[..., KAN],
    float64_answers: Answers,
) -> None:
    """With and without a knot in the middle: the same function."""
    kan = make_kan((2, 3), degree=degree, grid_size=grid_size, uneven=uneven)
    rows = np.random.default_rng(0).uniform(-3, 3, (60, 2)).astype(np.float32)
    model = predicting_model(kan, None, None, [TruncatedPowers()])
    # Degree 5 costs four digits on 5 intervals; a wrong column is off by the answer itself.
    np.testing.assert_allclose(run(model, rows), float64_answers(kan, rows), atol=3e-3 if degree == 5 else 3e-4)


@pytest.mark.parametrize("grid_size", [1, 2, 5, 6])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_columns_are_as_few_as_the_space_has_dimensions(
    degree: int, grid_size: int, make_kan: Callable[..., KAN]
) -> None:
    """G + degree with the constant, and an even number of them truncated powers."""
    columns = TruncatedPowers().emit(
        GraphBuilder("x", 2), make_kan((2, 3), degree=degree, grid_size=grid_size).layers[0], "x"
    )
    counts = [len(term.weight) for term in columns.terms]
    assert sum(counts) + 1 == grid_size + degree
    assert sum(count for count in counts if count > 1) % 2 == 0
    assert columns.constant.shape == (2, 3)


@pytest.mark.parametrize("grid_size", [4, 5])
@pytest.mark.parametrize("degree", [2, 3, 4, 5])
@pytest.mark.parametrize("uneven", [False, True])
def test_columns_lie_between_what_is_told(
    grid_size: int, degree: int, uneven: bool, make_kan: Callable[..., KAN]
) -> None:
    """For every input, and the ends are met: int8 has 255 steps between them."""
    layer = make_kan((3, 2), grid_size=grid_size, degree=degree, uneven=uneven).layers[0]
    low, high = layer.domain.double().numpy().T
    rows = (low + (high - low) * np.linspace(-0.5, 1.5, 401)[:, None]).astype(np.float32)
    for index in range(len(TruncatedPowers().emit(GraphBuilder("x", 3), layer, "x").terms)):
        graph = GraphBuilder("x", 3)
        term = TruncatedPowers().emit(graph, layer, "x").terms[index]
        values = run(graph.build({"columns": (term.value, (3 * len(term.weight),))}, "columns", {}), rows)
        size = term.high - term.low
        assert term.low - 1e-5 * size <= values.min() <= term.low + 0.01 * size
        assert term.high - 0.01 * size <= values.max() <= term.high + 1e-5 * size


def test_random_coefficients_on_fine_grids_cost_digits(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """The powers of 20 intervals cancel more digits than the tolerance allows, those of 5 do not: so it is measured."""
    errors = []
    for grid_size in (5, 20):
        kan = make_kan((4, 2), grid_size=grid_size, dtype=torch.float32)
        rows = np.random.default_rng(0).uniform(-1, 1, (200, 4)).astype(np.float32)
        wanted = float64_answers(kan, rows)
        got = run(predicting_model(kan, None, None, [TruncatedPowers()]), rows)
        errors.append(np.max(np.abs(got - wanted) / np.ptp(wanted, axis=0)))
    assert errors[0] < 1e-6
    assert errors[1] > 1e-5


def test_knots_are_taken_as_float32_holds_them(float64_answers: Answers) -> None:
    """Far from zero, on a narrow domain, where a rounded knot is off by a hundredth of an interval: still exact.

    The weights are solved for the rounded knots; the float64 network on rounded knots is the truth here.
    """
    low = 64 + np.arange(3) / 7
    domain = torch.tensor(np.stack([low, low + 0.1], axis=1).astype(np.float32)).double()
    coefficients = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 3, 8)))
    steps = torch.arange(-3, 9, dtype=torch.float64) / 5
    knots = (domain[:, :1] + (domain[:, 1:] - domain[:, :1]) * steps).float().double()
    layer = KANLayer(torch.zeros(2, 3, dtype=torch.float64), coefficients, degree=3, outside="clamp", knots=knots)
    kan = KAN.of_layers([layer])
    rows = (low + 0.1 * np.random.default_rng(1).random((100, 3))).astype(np.float32)
    got = run(predicting_model(kan, None, None, [TruncatedPowers()]), rows)
    np.testing.assert_allclose(got, float64_answers(kan, rows), atol=2e-5)
