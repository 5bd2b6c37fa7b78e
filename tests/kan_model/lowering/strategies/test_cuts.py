"""Cuts of uneven grids: the smallest powers, by brute force, and the digits that they keep."""

from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from kan_model import KAN
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.cuts import cut_by_jumps, even_cuts
from kan_model.lowering.strategies.segments import Segments
from kan_model.network.layer import KANLayer
from kan_model.onnx_runtime import run

Values = NDArray[np.float64]
Answers = Callable[[KAN, NDArray[np.float32]], Values]


def test_even_cuts() -> None:
    """11 intervals in 3 segments; all other breaks are inner ones, for every input the same."""
    cuts = even_cuts(11, 3, 2)
    assert cuts.ends.T.tolist() == [[0, 3, 7, 11]] * 2
    assert cuts.inner.T.tolist() == [[1, 2, 4, 5, 6, 8, 9, 10]] * 2


@pytest.mark.parametrize("segments", [1, 2, 3])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_no_cuts_have_smaller_powers(degree: int, segments: int, make_kan: Callable[..., KAN]) -> None:
    """Of all ways to cut 7 intervals, with the jumps of SciPy's derivatives."""
    layer = make_kan((4, 3), grid_size=7, degree=degree, uneven=True).layers[0]
    assert layer.knots is not None
    breaks = layer.knots[:, degree:-degree].numpy().T
    ends = cut_by_jumps(layer, breaks, segments).ends
    for place in range(layer.inputs):
        every = [
            powers(layer, breaks[:, place], place, (0, *middle, 7))
            for middle in combinations(range(1, 7), segments - 1)
        ]
        assert powers(layer, breaks[:, place], place, ends[:, place].tolist()) == pytest.approx(min(every), rel=1e-9)


def powers(layer: KANLayer, breaks: Values, place: int, ends: tuple[int, ...]) -> float:
    """Σ jump · (distance to the nearer end)^degree of one input, the largest jump of all edges at each break."""
    knots, coefficients = layer.all_knots()[place].numpy(), layer.coefficients[:, place].detach().numpy()
    derivative = BSpline(knots, coefficients.T, layer.degree).derivative(layer.degree)
    jumps = np.abs(np.diff(derivative((breaks[1:] + breaks[:-1]) / 2), axis=0)).max(axis=1)
    total = 0.0
    for first, last in pairwise(ends):
        for inner in range(first + 1, last):
            nearer = min(breaks[inner] - breaks[first], breaks[last] - breaks[inner])
            total += jumps[inner - 1] * nearer**layer.degree
    return total


def test_inputs_of_one_grid_have_cuts_of_their_own(float64_answers: Answers) -> None:
    """Four inputs with the same uneven knots and other coefficients: the cuts differ, and every answer is right."""
    knots = torch.from_numpy(np.cumsum(np.random.default_rng(0).uniform(0.05, 1, 19)).astype(np.float32)).expand(4, 19)
    coefficients = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (3, 4, 15)).astype(np.float32))
    layer = KANLayer(torch.zeros(3, 4), coefficients, degree=3, outside="clamp", knots=knots)
    assert len(np.unique(cut_by_jumps(layer, knots[:, 3:-3].double().numpy().T, 3).ends, axis=1).T) > 1
    kan = KAN.of_layers([layer])
    rows = np.random.default_rng(2).uniform(float(knots[0, 3]), float(knots[0, -4]), (200, 4)).astype(np.float32)
    got = run(predicting_model(kan, None, None, [Segments(5)]), rows)
    np.testing.assert_allclose(got, float64_answers(kan, rows), atol=1e-4)


def test_narrow_intervals_keep_their_digits(float64_answers: Answers) -> None:
    """Three of 1:1000 between wide ones: in the middle of a segment, as evenly cut, they would cost all digits."""
    narrow = [1.0, 0.001, 0.001, 0.001, *[1.0] * 6]
    widths = np.array([narrow, narrow[::-1]])
    breaks = np.concatenate([np.zeros((2, 1)), np.cumsum(widths, axis=1)], axis=1) - 1
    steps = np.arange(1, 4)
    before = breaks[:, :1] - steps[::-1] * widths[:, :1]
    after = breaks[:, -1:] + steps * widths[:, -1:]
    knots = torch.from_numpy(np.concatenate([before, breaks, after], axis=1).astype(np.float32))
    coefficients = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (3, 2, 13)).astype(np.float32))
    kan = KAN.of_layers([KANLayer(torch.zeros(3, 2), coefficients, degree=3, outside="clamp", knots=knots)])
    shares = np.random.default_rng(1).random((10, 100, 2))
    rows = np.concatenate([breaks[:, i] + widths[:, i] * shares[i] for i in range(10)]).astype(np.float32)
    wanted = float64_answers(kan, rows)
    got = run(predicting_model(kan, None, None, [Segments(5)]), rows)
    # A position of 1 has 6e-8 of rounding, and the splines' slopes are up to 6e3.
    np.testing.assert_allclose(got, wanted, atol=2e-3)
