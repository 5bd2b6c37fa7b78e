"""From a network to graphs that pass the verification, not only the checks of the lowering."""

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.lowering import lower
from kan_model.lowering.checks.reference import Reference
from training.publishing.export import Plan, Trained, export
from training.publishing.verify import VerificationFailed, verify

ROWS = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)


@pytest.fixture
def kan() -> KAN:
    """Visible curves on many intervals, where strategies differ in how exact they are."""
    return KAN(KANConfig((2, 2, 1), grid_size=20, noise=1.0))


def between(kan: KAN) -> tuple[float, tuple[str, ...]]:
    """A tolerance that the first choice meets in the lowering's checks but not in the verification; and that choice."""
    lowered = lower(kan, tolerance=1e-3, tune_for=(), training_rows=ROWS)
    verified = verify(lowered.model, kan, None, None, ROWS, 1.0).errors.max_relative_error
    assert verified > lowered.report.max_relative_error, "chosen on as many rows as it is verified on"
    return (lowered.report.max_relative_error + verified) / 2, lowered.strategies


def test_a_graph_that_fails_where_it_was_not_looked_at_gives_way_to_a_closer_one(kan: KAN) -> None:
    """If a graph fails the verification, other strategies are tried before the network is refused."""
    tolerance, first = between(kan)
    exported = export(Trained(kan, None, None), Plan(tolerance, (), "float32"), training_rows=ROWS)
    assert exported.lowered.strategies != first
    assert exported.verification.errors.max_relative_error <= tolerance


def test_edges_that_are_not_told_closely_enough_are_told_by_other_strategies() -> None:
    """A graph with right answers and wrong edges keeps its strategies; only the graph that explains is written anew."""
    kan = KAN(KANConfig((2, 2, 1), grid_size=10, noise=1.0), seed=1)
    lowered = lower(kan, tolerance=1e-3, tune_for=(), training_rows=ROWS)
    reference = Reference(kan, training_rows=ROWS)
    answers = reference.compare(lowered.model).max_relative_error
    edges = reference.compare_edges(lowered.explained, block_rows=64)
    assert edges > 1.1 * answers, "edges are told as closely as answers"
    tolerance = (edges + answers) / 2
    exported = export(Trained(kan, None, None), Plan(tolerance, (), "float32"), training_rows=ROWS)
    assert exported.lowered.strategies == lowered.strategies
    assert reference.compare_edges(exported.lowered.explained, block_rows=64) <= tolerance


def test_edges_that_hardly_count_in_the_answers_are_no_reason_to_refuse_a_network() -> None:
    """Edges that the fastest strategy gives badly are given by another one, also if no answer tells of their error."""
    kan = KAN(KANConfig((2, 2, 1), grid_size=10, noise=1.0), seed=1)
    with torch.no_grad():
        kan.layers[0].coefficients[0] = 0  # the answers are those of this node, whose edges are silu alone
        kan.layers[1].coefficients[:, 1] *= 1e-4
        kan.layers[1].base_weight[:, 1] *= 1e-4
        kan.layers[1].coefficients[:, 0] = 0
    lowered = lower(kan, tolerance=1e-3, tune_for=(), training_rows=ROWS)
    reference = Reference(kan, training_rows=ROWS)
    answers = reference.compare(lowered.model).max_relative_error
    edges = reference.compare_edges(lowered.explained, block_rows=64)
    assert edges > 16 * answers, "the answers tell of the edges' error"
    exported = export(Trained(kan, None, None), Plan(edges / 1.5, (), "float32"), training_rows=ROWS)
    assert reference.compare_edges(exported.lowered.explained, block_rows=64) <= edges / 1.5


def test_what_nothing_meets_is_refused() -> None:
    """A tolerance below float32's precision is refused."""
    with pytest.raises(VerificationFailed, match="tolerance 1e-12"):
        export(Trained(KAN(KANConfig((2, 1))), None, None), Plan(1e-12, (), "float32"), training_rows=ROWS)
