"""A layer in parts answers what the whole layer answers, and has no weights between its parts."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANConfig, mean_network
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import explaining_model, predicting_model
from kan_model.lowering.emit.precision import Precision
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.lowering.strategies.in_blocks import InBlocks
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import Outside
from kan_model.onnx_graph import check
from kan_model.onnx_runtime import open_session, run

Rows = NDArray[np.float32]
Answers = Callable[[KAN, Rows], NDArray[np.float64]]
MakeKAN = Callable[..., KAN]
OTHERS = CoxDeBoor()


@pytest.mark.parametrize(
    ("strategy", "outside"),
    [
        (strategy, outside)
        for strategy in STRATEGIES
        for outside in (("clamp",) if strategy.name in ("radial_powers", "truncated_powers") else ("clamp", "decay"))
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
@pytest.mark.parametrize(("scattered", "symbolic", "count"), [(False, False, 2), (True, False, 4), (True, True, 3)])
def test_answers_are_those_of_the_network(
    strategy: Strategy,
    outside: Outside,
    scattered: bool,
    symbolic: bool,
    count: int,
    make_kan: MakeKAN,
    in_blocks: MakeKAN,
    float64_answers: Answers,
    rows_of_all_kinds: Callable[[KAN], Rows],
) -> None:
    """By every strategy, with blocks of several sizes, of neighbours or not, with formulas in them: as in float64."""
    kan = make_kan((3, 12, 9, 2), outside=outside, grid_size=6)
    kan = in_blocks(kan, scattered=scattered, symbolic=symbolic)
    assert strategy.applies(kan.layers[1])
    model = predicting_model(kan, None, None, [OTHERS, InBlocks(strategy, count), OTHERS])
    check(model)
    rows = rows_of_all_kinds(kan)
    rows = rows[np.abs(rows).max(axis=1) < 100]
    wanted = float64_answers(kan, rows)
    np.testing.assert_allclose(run(model, rows), wanted, atol=3e-5 * np.ptp(wanted))


def test_parts_that_have_grids_of_their_own(
    make_kan: MakeKAN, in_blocks: MakeKAN, float64_answers: Answers, rows_of_all_kinds: Callable[[KAN], Rows]
) -> None:
    """Each part has the knots of its own inputs."""
    kan = in_blocks(make_kan((3, 12, 9, 2)), scattered=True)
    middle = kan.layers[1]
    knots = middle.all_knots() * (1 + torch.linspace(0, 1, 12, dtype=torch.float64))[:, None]
    kan = KAN.of_layers([kan.layers[0], middle.changed(knots=knots), kan.layers[2]])
    rows = rows_of_all_kinds(kan)[:50]
    wanted = float64_answers(kan, rows)
    for strategy in STRATEGIES:
        if strategy.applies(kan.layers[1]):
            model = predicting_model(kan, None, None, [OTHERS, InBlocks(strategy, 4), OTHERS])
            np.testing.assert_allclose(run(model, rows), wanted, atol=3e-5 * np.ptp(wanted))


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_weights_are_those_of_the_blocks(precision: Precision) -> None:
    """4 members of 16 · 8 edges in the middle: a quarter of the dense layer's weights, in every number format."""
    kan = mean_network([KAN(KANConfig((3, 16, 8, 2), noise=0.3), seed=seed) for seed in range(4)])
    strategy = RadialPowers()
    sizes = []
    for middle in (strategy, InBlocks(strategy, 2), InBlocks(strategy, 4)):
        model = predicting_model(kan, None, None, [strategy, middle, strategy], precision)
        weights = [t for t in model.graph.initializer if t.name.startswith("layer1/weight")]
        sizes.append(sum(int(np.prod(tensor.dims)) for tensor in weights))
    assert sizes == [sizes[0], sizes[0] // 2, sizes[0] // 4]


@pytest.mark.parametrize(("precision", "most"), [("float16", 3e-3), ("int8", 0.1)])
def test_lossy_formats(
    precision: Precision, most: float, make_kan: MakeKAN, in_blocks: MakeKAN, float64_answers: Answers
) -> None:
    """float16 and int8 apply to each part's largest product; errors stay as small as those of the whole layer."""
    kan = in_blocks(make_kan((3, 12, 9, 2)))
    rows = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32)
    wanted = float64_answers(kan, rows)
    errors = []
    for middle in (ClosedForm(), InBlocks(ClosedForm(), 4)):
        model = predicting_model(kan, None, None, [OTHERS, middle, OTHERS], precision)
        check(model)
        errors.append(float(np.abs(run(model, rows) - wanted).max() / np.ptp(wanted)))
    assert 0 < errors[1] < min(most, 2 * errors[0])


def test_explained_edges_are_those_of_the_whole_layer(make_kan: MakeKAN, in_blocks: MakeKAN) -> None:
    """The graph that gives every edge has all of them, 0 between blocks, whatever the parts of the other graph."""
    kan = in_blocks(make_kan((3, 12, 9, 2)), scattered=True, symbolic=True)
    strategies: list[Strategy] = [OTHERS, InBlocks(ClosedForm(), 4), OTHERS]
    rows = np.random.default_rng(0).uniform(-1, 1, (20, 3)).astype(np.float32)
    answers, _, edges, _ = open_session(explaining_model(kan, None, None, strategies)).run(rows)
    np.testing.assert_allclose(answers, run(predicting_model(kan, None, None, strategies), rows), atol=1e-4)
    assert edges.shape == (20, 9, 12)
    assert np.array_equal((edges != 0).any(axis=0), kan.layers[1].active_edges.numpy())
