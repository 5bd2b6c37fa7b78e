"""A network with nodes that multiply learns products, and its formula says so."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kan_model import KAN, KANConfig, auto_symbolic, prune
from kan_model.formula.expression import formula
from kan_model.grids.adaptation import adapt_grid
from training.data.samples import Samples
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection
from training.threads import torch_threads

_PLAN = FitSection(optimizer="levenberg-marquardt", steps=60)


def _samples(seed: int, count: int) -> Samples:
    x = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    return Samples(x, x[:, :1] * x[:, 1:])


def _error(kan: KAN, rows: Samples) -> float:
    with torch.no_grad():
        found: Tensor = kan(rows.x) - rows.y
    return float(found.square().mean().sqrt())


def _fitted(kan: KAN, train: Samples, validation: Samples) -> KAN:
    return fit_module(kan, train, validation, _PLAN, "regression").best


@pytest.mark.slow
def test_x_times_y_to_a_millionth_and_its_formula() -> None:
    """By [2, [0, 1], 1]: of four starts the best by validation rows is right on test rows; pruned, it is x*y."""
    train, validation, test = (_samples(seed, 1000) for seed in range(3))
    starts = []
    with torch_threads(1):
        for seed in range(4):
            kan = KAN(KANConfig((2, (0, 1), 1), grid_size=3), seed=seed, dtype=torch.float64)
            for _ in range(3):
                # The domain of the hidden node follows its values, which grow in the fit.
                kan = adapt_grid(kan, train.x, uniform_share=1.0, max_moved=math.inf).kan
                kan = _fitted(kan, train, validation)
            starts.append(kan)
        best = min(starts, key=lambda kan: _error(kan, validation))
        assert _error(best, test) < 1e-6
        small = _fitted(prune(best, train.x).kan, train, validation)
        symbolic = auto_symbolic(small, train.x, min_r2=0.999)
    assert [report.best.edge.function for report in symbolic.edges if report.best] == ["x", "x", "x"]
    found = formula(symbolic.kan, names=["x", "y"], near=1e-4)
    assert found.text == ("x*y",)
    rows = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    np.testing.assert_allclose(found.evaluate(rows)[:, 0], rows[:, 0] * rows[:, 1], atol=1e-5)
