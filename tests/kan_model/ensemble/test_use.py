"""A mean network is used as any other: lowered, explained, attributed, drawn, and turned into a formula."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import Tensor

from kan_model import KAN, attribute, auto_symbolic, formula, interactions, lowering, mean_network, plot
from kan_model.lowering.checks.reference import Reference
from kan_model.onnx_runtime import open_session

MakeMembers = Callable[..., list[KAN]]
MeanOf = Callable[[Sequence[KAN], Tensor], Tensor]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("uneven", [False, True])
def test_onnxruntime_answers_the_mean(
    make_members: MakeMembers, mean_of: MeanOf, rows: Tensor, depth: int, uneven: bool
) -> None:
    """Both graphs, with masks, biases and formulas in every member, within the tolerance; edges as torch has them."""
    members = make_members(depth, uneven=uneven, mixed=True)
    kan = mean_network(members)
    x = rows[:64]
    lowered = lowering.lower(kan, tune_for=(), training_rows=x.float().numpy())
    wanted = mean_of(members, x.float().double()).numpy()
    model, explained = (open_session(each).run(x.float().numpy()) for each in (lowered.model, lowered.explained))
    np.testing.assert_allclose(model[0], wanted, atol=1e-5 * np.ptp(wanted))
    np.testing.assert_allclose(explained[0], wanted, atol=1e-5 * np.ptp(wanted))
    assert [edges.shape[1:] for edges in explained[1:]] == [(layer.outputs, layer.inputs) for layer in kan.layers]
    assert Reference(kan, rows_per_region=100).compare_edges(lowered.explained) < 1e-4


def test_scores_are_those_of_the_members_edges(make_members: MakeMembers, rows: Tensor) -> None:
    """The first layer's nodes are the members' own, so edges between members have no score, and inputs have one."""
    kan = mean_network(make_members(3))
    scores = attribute(kan, rows[:100])
    assert all(scores.inputs > 0)
    assert not scores.edges[1][kan.layers[1].edge_mask.numpy() == 0].any()
    assert scores.edges[1][kan.layers[1].edge_mask.numpy() == 1].all()
    assert interactions(kan, rows[:20]).shape == (3, 3)


def test_it_is_drawn(make_members: MakeMembers, rows: Tensor) -> None:
    """As one network of 15 and 12 hidden nodes."""
    figure = plot.diagram(mean_network(make_members(3)), rows[:50])
    assert figure.axes
    plt.close(figure)


def test_it_is_a_formula(make_members: MakeMembers, rows: Tensor) -> None:
    """The answers of the formula are those of the network."""
    x = rows[:20]
    kan = mean_network(make_members(2)[:2])
    found = auto_symbolic(kan, x, functions=["x", "x^2"], min_r2=1e-9).kan
    assert found.members == kan.members
    written = formula.formula(found)
    with torch.no_grad():
        wanted = found(x).numpy()
    np.testing.assert_allclose(written.evaluate(x.numpy()), wanted, rtol=1e-6, atol=1e-6)
