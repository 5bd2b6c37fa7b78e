"""Layers of blocks are tried in parts, and measured like every other option."""

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig, mean_network
from kan_model.lowering import lower
from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.onnx_runtime import run


def members(width: Sequence[int], count: int) -> list[KAN]:
    """Random float32 networks."""
    return [KAN(KANConfig(tuple(width), noise=0.3), seed=seed) for seed in range(count)]


def test_the_fastest_strategies_are_tried_in_parts() -> None:
    """Three of them, in 2, in 4 and in as many parts as there are members; each is timed and its error is told."""
    made = members((3, 8, 6, 2), 6)
    lowered = lower(mean_network(made), tune_for=(1, 64))
    first, middle, last = lowered.report.layers
    assert not any("blocks" in candidate.strategy for layer in (first, last) for candidate in layer.candidates)
    parts = [candidate for candidate in middle.candidates if "_in_" in candidate.strategy]
    assert len(parts) == 9
    assert {candidate.strategy.rsplit("_in_")[1] for candidate in parts} == {"2_blocks", "4_blocks", "6_blocks"}
    assert all(list(candidate.seconds) == [1, 64] and candidate.max_relative_error <= 1e-5 for candidate in parts)
    assert {candidate.strategy.split("_in_")[0] for candidate in middle.candidates} <= {
        each.name for each in STRATEGIES
    }
    rows = np.random.default_rng(0).uniform(-1.5, 1.5, (100, 3)).astype(np.float32)
    with torch.no_grad():
        x = torch.from_numpy(rows).double()
        wanted = torch.stack([copy.deepcopy(member).double()(x) for member in made]).mean(dim=0).numpy()
    np.testing.assert_allclose(run(lowered.model, rows), wanted, atol=1e-5 * np.ptp(wanted))


def test_large_blocks_are_kept_in_parts() -> None:
    """6 members of 32 · 32 edges: the parts do a sixth of the work, and the network is within the tolerance."""
    kan = mean_network(members((2, 32, 32, 1), 6))
    lowered = lower(kan, tune_for=(128,), strategies=(RadialPowers(), CoxDeBoor()))
    assert lowered.strategies[1].startswith("radial_powers_in_")
    assert lowered.report.max_relative_error <= 1e-5
    assert Reference(kan, rows_per_region=100).compare(lowered.model).max_relative_error < 2e-5


@pytest.mark.parametrize("tolerance", [1e-3, 0.03])
def test_lossy_formats_are_tried_in_parts_too(tolerance: float) -> None:
    """In int8 too, within the same bounds: at most the tolerance and three times the smallest error."""
    lowered = lower(mean_network(members((2, 8, 6, 2), 4)), tune_for=(64,), precision="float16", tolerance=tolerance)
    middle = lowered.report.layers[1]
    parts = [candidate for candidate in middle.candidates if "_in_" in candidate.strategy]
    assert parts
    smallest = min(candidate.max_relative_error for candidate in middle.candidates)
    assert all(candidate.max_relative_error <= 3 * smallest for candidate in middle.candidates if candidate.seconds)


def test_without_tuning_layers_are_whole() -> None:
    """Nothing is measured, so nothing tells how many parts are fastest; the same network gives the same bytes."""
    kan = mean_network(members((3, 8, 6, 2), 4))
    assert lower(kan, tune_for=()).strategies == ("radial_powers",) * 3
