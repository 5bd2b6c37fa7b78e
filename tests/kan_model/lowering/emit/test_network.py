"""Whole graphs: the transforms around the layers, and the answer to a row."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import explaining_model, predicting_model
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import KANLayer
from kan_model.network.transform import Affine, Exponential, InputTransform, Softmax
from kan_model.onnx_runtime import run

Rows = NDArray[np.float32]
Answers = Callable[[KAN, Rows], NDArray[np.float64]]
INPUTS = InputTransform(
    np.array([1, 20, -3], np.float32), np.array([0.5, 0.1, 2], np.float32), np.array([1, 25, np.nan], np.float32)
)
ROWS = np.array([[1, 2, -3], [np.nan, 25, -2.5], [0, np.nan, -3.1], [2, 21, np.nan]], np.float32)


def test_transforms_are_part_of_the_graph(make_kan: Callable[..., KAN]) -> None:
    """NaN is imputed where there is a value for it, inputs are scaled, logits become probabilities."""
    kan = make_kan((3, 4))
    model = predicting_model(kan, INPUTS, Softmax(), [ClosedForm()])
    with torch.no_grad():
        expected = Softmax()(kan(INPUTS(torch.from_numpy(ROWS).double()))).numpy()
    got = run(model, ROWS)
    assert np.isnan(got).all(axis=1).tolist() == [False, False, False, True]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert [output.name for output in model.graph.output] == ["probabilities"]


def test_regression_comes_out_in_raw_units(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """An affine transform at the end; the output goes by the name of prediction."""
    kan = make_kan((2, 2), dtype=torch.float32)
    outputs = Affine(np.array([100, -5], np.float32), np.array([30, 0.1], np.float32))
    model = predicting_model(kan, None, outputs, [ClosedForm()])
    rows = np.array([[0.1, -0.5], [1.25, 0.75]], np.float32)
    expected = float64_answers(kan, rows) * outputs.scale + outputs.center
    np.testing.assert_allclose(run(model, rows), expected, rtol=1e-6, atol=1e-6)
    assert [output.name for output in model.graph.output] == ["prediction"]


def test_an_exp_is_the_last_step(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """Answers of a network that gives logarithms are positive and in raw units."""
    kan = make_kan((2, 2), dtype=torch.float32)
    outputs = Exponential(np.array([5, -5], np.float32), np.array([2, 0.1], np.float32))
    model = predicting_model(kan, None, outputs, [ClosedForm()])
    rows = np.array([[0.1, -0.5], [1.25, 0.75]], np.float32)
    expected = np.exp(float64_answers(kan, rows) * outputs.scale + outputs.center)
    np.testing.assert_allclose(run(model, rows), expected, rtol=3e-6)
    assert (model.graph.node[-1].op_type, model.graph.output[0].name) == ("Exp", "prediction")


def test_only_features_that_are_read_are_imputed_and_scaled(
    make_kan: Callable[..., KAN], with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """Only features with edges are imputed and scaled; feature 1 is dropped first, whatever its value."""
    kan = KAN.of_layers([with_mask(make_kan((3, 1)).layers[0], np.array([[1, 0, 1]], bool))])
    model = predicting_model(kan, INPUTS, None, [ClosedForm()])
    first = model.graph.node[0]
    assert (first.op_type, first.input[0]) == ("Gather", "features")
    rows = np.array([[2, np.nan, -2.75], [np.nan, 1e30, -3]], np.float32)
    with torch.no_grad():
        expected = kan(torch.tensor([[0.5, 0, 0.5], [0, 0, 0]], dtype=torch.float64))
    np.testing.assert_allclose(run(model, rows), expected, atol=1e-6)


def test_transforms_that_change_nothing_are_not_written(make_kan: Callable[..., KAN]) -> None:
    """No centre, no scale, nothing to impute: the same operators as without."""
    kan = make_kan((3, 2))
    none = InputTransform(np.zeros(3, np.float32), np.ones(3, np.float32))
    graphs = [predicting_model(kan, inputs, None, [ClosedForm()]).graph for inputs in (none, None)]
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("count", [1, 2, 33])
def test_any_number_of_rows(
    strategy: Strategy,
    count: int,
    make_kan: Callable[..., KAN],
    written_by: Callable[[KAN, Strategy], list[Strategy]],
    rows_of_all_kinds: Callable[[KAN], Rows],
) -> None:
    """The batch is dynamic; a row's answer does not depend on its neighbours."""
    kan = make_kan(dtype=torch.float32, grid_size=7)
    model = predicting_model(kan, None, None, written_by(kan, strategy))
    rows = rows_of_all_kinds(kan)[:count]
    alone = np.concatenate([run(model, rows[i : i + 1]) for i in range(count)])
    np.testing.assert_allclose(run(model, rows), alone, rtol=1e-5, atol=1e-5)


def test_layers_may_be_written_by_different_strategies(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """Four layers are written by different strategies, with every pair of neighbours."""
    kan = make_kan((3, 4, 3, 4, 2), dtype=torch.float32, grid_size=6)
    by_name = {strategy.name: strategy for strategy in STRATEGIES}
    strategies = [by_name[name] for name in ("pieces", "truncated_powers", "cox_de_boor", "segments_5")]
    model = predicting_model(kan, None, None, strategies)
    names = [node.output[0] for node in model.graph.node]
    assert "layer0/polynomial" in names
    assert any(name.startswith("layer2/rising") for name in names)
    rows = np.random.default_rng(0).uniform(-2, 2, (50, 3)).astype(np.float32)
    np.testing.assert_allclose(run(model, rows), float64_answers(kan, rows), atol=2e-4)


def test_metadata_goes_into_both_models(make_kan: Callable[..., KAN]) -> None:
    """Metadata become metadata_props of both models."""
    for model in (
        predicting_model(make_kan((1, 1)), None, None, [ClosedForm()], metadata={"version": "3"}),
        explaining_model(make_kan((1, 1)), None, None, [ClosedForm()], {"version": "3"}),
    ):
        assert {prop.key: prop.value for prop in model.metadata_props} == {"version": "3"}
