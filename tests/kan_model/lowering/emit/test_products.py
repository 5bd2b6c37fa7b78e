"""Nodes that multiply are lowered as they are computed in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering import lower
from kan_model.lowering.checks.reference import Reference
from kan_model.network.layer import Outside
from kan_model.network.network import Level
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.transform import Affine, Exponential, OutputTransform, Softmax
from kan_model.onnx_runtime import open_session

Rows = NDArray[np.float32]
MakeKAN = Callable[..., KAN]
VECTORS = np.array([0.5, -1.0], np.float32), np.array([0.25, 1.5], np.float32)


@pytest.mark.parametrize("width", [(3, (2, 2), 2), (3, (0, 2), (1, 1), 2), (3, (1, 1))])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("arity", [2, 3])
def test_answers_and_edges_are_those_of_float64(
    make_kan: MakeKAN, width: tuple[Level, ...], outside: Outside, arity: int
) -> None:
    """In hidden levels, one after another, and among the outputs; within the tolerance on all kinds of rows."""
    kan = make_kan(width, outside=outside, arity=arity, uneven=True, dtype=torch.float32)
    lowered = lower(kan, tune_for=())
    reference = Reference(kan, rows_per_region=300)
    assert reference.compare(lowered.model).max_relative_error < 2e-5
    assert reference.compare_edges(lowered.explained) < 1e-4
    answers = open_session(lowered.explained).run(np.zeros((1, 3), np.float32))
    assert [edges.shape[1:] for edges in answers[1:]] == [(layer.sums, layer.inputs) for layer in kan.layers]


@pytest.mark.parametrize("transform", [Affine(*VECTORS), Exponential(*VECTORS), Softmax()])
def test_transforms_stand_behind_products(make_kan: MakeKAN, transform: OutputTransform) -> None:
    """The scaling of the outputs goes into no weight of a factor."""
    kan = make_kan((3, (2, 1), (1, 1)), dtype=torch.float32)
    lowered = lower(kan, outputs=transform, tune_for=())
    assert Reference(kan, outputs=transform, rows_per_region=300).compare(lowered.model).max_relative_error < 2e-5


def test_pruned_factors_are_constants(
    make_kan: MakeKAN,
    rows_of_all_kinds: Callable[[KAN], Rows],
    float64_answers: Callable[[KAN, Rows], NDArray[np.float64]],
) -> None:
    """A factor without edges, one of edges from constant nodes only, formulas, and products that nobody reads."""
    kan = make_kan((3, (2, 3), (1, 2), 2), dtype=torch.float32)
    first, second, third = kan.layers
    # Sums 2 and 3 make node 2, 4 and 5 node 3, 6 and 7 node 4. Sum 3 is a bias; node 0 and node 3 are constants.
    first.edge_mask[[0, 3, 4, 5]] = 0
    second.edge_mask[:, 4] = 0
    second.edge_mask[1, [1, 2]] = 0
    first = first.changed(bias=torch.linspace(-1, 2, 8)).with_symbolic([SymbolicEdge(2, 1, "sin", 1.0, 0.2, 0.5, 0.1)])
    kan = KAN.of_layers([first, second, third])
    lowered = lower(kan, tune_for=())
    rows = rows_of_all_kinds(kan)[:50]
    wanted = float64_answers(kan, rows)
    for model in (lowered.model, lowered.explained):
        np.testing.assert_allclose(open_session(model).run(rows)[0], wanted, atol=1e-5 * np.ptp(wanted))
    assert Reference(kan, rows_per_region=300).compare_edges(lowered.explained) < 1e-4
