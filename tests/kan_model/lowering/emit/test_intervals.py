"""The bounds in the graph are those of numpy in float64."""

import copy
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANLayer
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.transform import Affine, Exponential, InputTransform, Intervals
from kan_model.onnx_graph import check
from kan_model.onnx_runtime import open_session

Kind = Literal["linear", "positive", "log"]
ROWS = np.random.default_rng(0).uniform(-2, 2, (60, 3)).astype(np.float32)
HALF = np.array([0.3, 2.0], np.float32)


def outputs_of(kind: Kind) -> Affine | Exponential:
    """The end of the network that goes with a kind of bounds."""
    center, scale = np.array([0.5, -0.2], np.float32), np.array([0.4, 0.3], np.float32)
    return Affine(center, scale) if kind == "linear" else Exponential(center, scale)


def scale_layer(kan: KAN) -> KANLayer:
    """A scale on the knots of the first layer, with a constant."""
    generator = torch.Generator().manual_seed(1)
    first = kan.layers[0]
    coefficients = torch.rand(2, *first.coefficients.shape[1:], generator=generator) - 0.5
    return first.changed(
        base_weight=torch.zeros(2, first.inputs),
        coefficients=coefficients,
        edge_mask=torch.ones(2, first.inputs),
        bias=torch.tensor([0.1, -0.3]),
    )


def wanted_bounds(
    kan: KAN, outputs: Affine | Exponential, intervals: Intervals, x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By the definition, in float64."""
    with torch.no_grad():
        y = copy.deepcopy(kan).double()(torch.from_numpy(x)).numpy()
        g = 0 if intervals.scale is None else copy.deepcopy(intervals.scale).double()(torch.from_numpy(x)).numpy()
    y, w = y * outputs.scale.astype(float) + outputs.center, HALF.astype(float) * np.exp(g)
    if intervals.kind == "log":
        return np.exp(y - w), np.exp(y + w)
    y = np.exp(y) if intervals.kind == "positive" else y
    return np.maximum(y - w, 0) if intervals.kind == "positive" else y - w, y + w


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("kind", ["linear", "positive", "log"])
@pytest.mark.parametrize("scaled", [False, True])
def test_bounds(strategy: Strategy, kind: Kind, scaled: bool, make_kan: Callable[..., KAN]) -> None:
    """By every strategy, of every kind, with and without a scale; the answers stay as they are without bounds."""
    kan, outputs = make_kan((3, 4, 2), dtype=torch.float32), outputs_of(kind)
    intervals = Intervals(HALF, kind, scale_layer(kan) if scaled else None)
    model = predicting_model(kan, None, outputs, [strategy, strategy], intervals=intervals)
    check(model)
    answers, lower, upper = open_session(model).run(ROWS)
    plain = open_session(predicting_model(kan, None, outputs, [strategy, strategy])).run(ROWS)[0]
    np.testing.assert_array_equal(answers, plain)
    wanted = wanted_bounds(kan, outputs, intervals, ROWS.astype(np.float64))
    np.testing.assert_allclose(lower, wanted[0], rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(upper, wanted[1], rtol=2e-5, atol=1e-5)


def test_a_scale_reads_the_functions_that_the_first_layer_has(make_kan: Callable[..., KAN]) -> None:
    """It costs three products at most, an exp and the two bounds: no spline is computed twice."""
    kan = make_kan((3, 4, 2), dtype=torch.float32)
    strategies = [STRATEGIES[0], STRATEGIES[0]]
    plain = predicting_model(kan, None, outputs_of("linear"), strategies)
    intervals = Intervals(HALF, "linear", scale_layer(kan))
    bounded = predicting_model(kan, None, outputs_of("linear"), strategies, intervals=intervals)
    more = len(bounded.graph.node) - len(plain.graph.node)
    assert more <= 6
    assert [output.name for output in bounded.graph.output] == ["prediction", "lower", "upper"]


def test_inputs_that_are_not_read_have_no_scale(make_kan: Callable[..., KAN]) -> None:
    """A network that reads some of its inputs, imputed and scaled: the scale reads the same ones."""
    kan = make_kan((3, 4, 2), dtype=torch.float32)
    mask = kan.layers[0].edge_mask.clone()
    mask[:, 1] = 0
    kan = kan.with_layers([kan.layers[0].changed(edge_mask=mask), kan.layers[1]])
    scale = scale_layer(kan)
    scale = scale.changed(edge_mask=torch.ones(2, 3) * torch.tensor([1.0, 0.0, 1.0]))
    ones = np.ones(3, np.float32)
    inputs = InputTransform(0.1 * ones, 0.5 * ones, 0.2 * ones)
    intervals = Intervals(HALF, "linear", scale)
    model = predicting_model(kan, inputs, outputs_of("linear"), [STRATEGIES[0]] * 2, intervals=intervals)
    rows = ROWS.copy()
    rows[::3, 0] = np.nan
    _, lower, upper = open_session(model).run(rows)
    x = (np.where(np.isnan(rows), np.float64(np.float32(0.2)), rows) - np.float64(np.float32(0.1))) * 0.5
    wanted = wanted_bounds(kan, outputs_of("linear"), intervals, x)
    np.testing.assert_allclose(lower, wanted[0], rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(upper, wanted[1], rtol=2e-5, atol=1e-5)
