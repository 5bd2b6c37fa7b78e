"""Numbers that the paper promises, found again from samples."""

import numpy as np
import pytest
import torch

from benchmarks.paper.digits_pruned import digits_pruned
from benchmarks.paper.symbolic_recovery import PROBLEMS, Problem, recover
from kan_model.lowering import lower
from kan_model.onnx_runtime import run
from training.threads import torch_threads

# Up to half a minute of one core; beside other work on the machine it takes several times as long.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_a_formula_is_found_from_samples_alone(problem: Problem) -> None:
    """It equals the truth within 1e-3 of its range on a test grid, and its ONNX graph does too."""
    with torch_threads(1):
        found = recover(problem)
    assert found.max_error <= 1e-3, found
    rows = torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (500, 2)).astype(np.float32))
    truth = problem.function(rows.double()).numpy()
    answers = run(lower(found.kan, tune_for=()).model, rows.numpy())
    assert np.abs(answers - truth).max() <= 1e-3 * np.ptp(truth)


def test_digits_with_half_the_edges() -> None:
    """No more than a point of accuracy is lost to the recipe's network, whose edges are twice as many."""
    with torch_threads(1):
        full, _, half, *_ = digits_pruned()
    assert half.edges <= full.edges / 2
    assert half.accuracy >= full.accuracy - 0.01
