"""Inputs with straight edges are one product of their own; a strategy writes only the others."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.emit.straight import curved_inputs
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import KANLayer
from kan_model.network.straight import straighten
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.onnx_runtime import run

Rows = NDArray[np.float32]
Answers = Callable[[KAN, Rows], NDArray[np.float64]]
INPUTS = 12


def with_straight(layer: KANLayer, places: list[int]) -> KANLayer:
    """The layer with straight edges from these inputs."""
    is_straight = torch.zeros(layer.inputs, dtype=torch.bool)
    is_straight[places] = True
    low, high = (torch.where(is_straight, end, torch.nan) for end in layer.domain.T)
    return straighten(layer, low, high)


@pytest.mark.parametrize("strategy", [each for each in STRATEGIES if each.name != "closed_form"], ids=lambda s: s.name)
@pytest.mark.parametrize("places", [[0, 1, 2, 3, 4, 6, 7, 9], list(range(4, 12)), list(range(12))], ids=str)
@pytest.mark.parametrize("symbolic", [False, True])
def test_answers_are_those_of_float64(
    strategy: Strategy,
    places: list[int],
    symbolic: bool,
    make_kan: Callable[..., KAN],
    rows_of_all_kinds: Callable[[KAN], Rows],
    float64_answers: Answers,
) -> None:
    """By every strategy: curved inputs that are neighbours, scattered ones, none; beside symbolic edges."""
    # On uneven grids radial powers lose digits, with or without straight inputs.
    uneven = strategy.name != "radial_powers"
    first, second = make_kan((INPUTS, 3, 2), grid_size=6, uneven=uneven, dtype=torch.float32).layers
    first = with_straight(first, places)
    if symbolic:
        first = first.with_symbolic([SymbolicEdge(1, 0, "sin", 1, 0, 1, 0), SymbolicEdge(0, 11, "x^2", 0.1, 0, 1, 0)])
    kan = KAN.of_layers([first, second])
    assert len(curved_inputs(first)) == INPUTS - len(places)
    rows = np.clip(rows_of_all_kinds(kan), -50, 50)
    wanted = float64_answers(kan, rows)
    got = run(predicting_model(kan, None, None, [strategy, strategy]), rows)
    np.testing.assert_allclose(got, wanted, atol=1e-4 * np.abs(wanted).max())


def test_a_strategy_writes_the_curved_inputs_only(make_kan: Callable[..., KAN]) -> None:
    """4 of 12 inputs are curved: the widest product has 4 inputs' columns, not 12."""
    layer = make_kan((INPUTS, 3), grid_size=6, dtype=torch.float32).layers[0]
    widths = []
    for each in (layer, with_straight(layer, list(range(8)))):
        model = predicting_model(KAN.of_layers([each]), None, None, [RadialPowers()])
        widths.append(max(tensor.dims[0] for tensor in model.graph.initializer if len(tensor.dims) == 2))
    assert widths == [7 * INPUTS, 7 * 4]


def test_few_straight_inputs_are_written_as_all(make_kan: Callable[..., KAN]) -> None:
    """Setting fewer than 8 apart would take longer than it saves."""
    layer = make_kan((INPUTS, 3), dtype=torch.float32).layers[0]
    assert len(curved_inputs(with_straight(layer, list(range(7))))) == INPUTS
    assert curved_inputs(with_straight(layer, list(range(8)))).tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize("place", [0, 11])
def test_nan_reaches_its_row_and_no_other(place: int, make_kan: Callable[..., KAN]) -> None:
    """NaN in a straight input or in a curved one: Clip may lose it, the base branch does not."""
    kan = KAN.of_layers([with_straight(make_kan((INPUTS, 3), dtype=torch.float32).layers[0], list(range(8)))])
    rows = np.random.default_rng(0).uniform(-1, 1, (5, INPUTS)).astype(np.float32)
    missing = rows.copy()
    missing[2, place] = np.nan
    model = predicting_model(kan, None, None, [RadialPowers()])
    before, after = run(model, rows), run(model, missing)
    assert np.isnan(after[2]).all()
    np.testing.assert_array_equal(np.delete(after, 2, axis=0), np.delete(before, 2, axis=0))
