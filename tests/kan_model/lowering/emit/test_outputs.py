"""The scaling of the outputs is in the weights of the last layer."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.transform import Affine, Exponential
from kan_model.onnx_runtime import run

Rows = NDArray[np.float32]
Answers = Callable[[KAN, Rows], NDArray[np.float64]]
ROWS = np.random.default_rng(0).uniform(-2, 2, (60, 3)).astype(np.float32)


def vector(*numbers: float) -> NDArray[np.float32]:
    """As the transforms hold numbers."""
    return np.array(numbers, np.float32)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("center", [3.0, 1e4])
@pytest.mark.parametrize("symbolic", [False, True])
def test_raw_units(
    strategy: Strategy, center: float, symbolic: bool, make_kan: Callable[..., KAN], float64_answers: Answers
) -> None:
    """By every strategy, with a small and a large center, also where the last layer has a formula."""
    kan = make_kan((3, 4, 2), dtype=torch.float32)
    if symbolic:
        kan = kan.with_layers([kan.layers[0], kan.layers[1].with_symbolic([SymbolicEdge(1, 0, "sin", 1, 0, 1, 0)])])
    outputs = Affine(vector(center, -center), vector(5, 2))
    got = run(predicting_model(kan, None, outputs, [strategy, strategy]), ROWS)
    wanted = float64_answers(kan, ROWS) * outputs.scale.astype(float) + outputs.center
    np.testing.assert_allclose(got, wanted, rtol=3e-7, atol=1e-4)


def test_a_small_center_takes_no_operator(make_kan: Callable[..., KAN]) -> None:
    """The graph has the operators that it has without scaling; a large center one more, which rounds only once."""
    kan = make_kan((3, 4, 2), dtype=torch.float32)
    strategies = [RadialPowers(), RadialPowers()]
    plain, small, large = (
        [node.op_type for node in predicting_model(kan, None, outputs, strategies).graph.node]
        for outputs in (None, Affine(vector(3, -20), vector(5, 2)), Affine(vector(3, -40), vector(5, 2)))
    )
    assert small == plain
    assert large == [*plain, "Add"]


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_large_and_small_targets_fit_into_float16(scale: float, make_kan: Callable[..., KAN]) -> None:
    """The scaling stays float32, so the answers differ from those of float32 by float16's rounding alone."""
    kan = make_kan((3, 4, 2), dtype=torch.float32)
    outputs = Affine(vector(0, 0), vector(scale, scale))
    strategies = [RadialPowers(), RadialPowers()]
    half, single = (
        run(predicting_model(kan, None, outputs, strategies, precision), ROWS) / scale
        for precision in ("float16", "float32")
    )
    np.testing.assert_allclose(half, single, atol=0.05)


def test_exp_follows_the_last_layer(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """Its logarithm is scaled in the weights; the answers are float64's."""
    kan = make_kan((3, 4, 1), dtype=torch.float32)
    outputs = Exponential(vector(1), vector(0.5))
    model = predicting_model(kan, None, outputs, [RadialPowers(), RadialPowers()])
    assert [node.op_type for node in model.graph.node][-2:] == ["Gemm", "Exp"]
    np.testing.assert_allclose(run(model, ROWS), np.exp(1 + 0.5 * float64_answers(kan, ROWS)), rtol=1e-5)
