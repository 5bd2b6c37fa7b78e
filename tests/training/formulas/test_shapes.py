"""Networks of different shapes lose the edges that nothing misses."""

import numpy as np
import pytest
import torch

from training.data.samples import Samples
from training.formulas.descent import error
from training.formulas.shapes import Plan, count_edges, depends_on_start, drop_edges, fit_plan, plans
from training.formulas.work import Work


def samples(noise: float) -> tuple[Samples, Samples]:
    """100 rows of a²·b − c to learn from, 50 to choose by."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (150, 3))
    y = x[:, 0] ** 2 * x[:, 1] - x[:, 2]
    y = (y + noise * y.std() * random.standard_normal(150)) / y.std()
    rows = Samples(torch.from_numpy(x), torch.from_numpy(y)[:, None])
    return rows.take(torch.arange(100)), rows.take(torch.arange(100, 150))


@pytest.mark.slow
def test_a_sum_of_a_curve_and_a_product_keeps_three_curves() -> None:
    """From rows with 2 % noise, a²·b − c has one curve of each input, and two straight lines behind them."""
    train, validation = samples(0.02)
    work = Work(1e9, lambda: None)
    kan = fit_plan(Plan((3, (1, 1), 1), is_straight=True), train, validation, 0, work)
    assert kan is not None
    assert count_edges(kan) == 11
    smallest, *_ = drop_edges(kan, train, validation, work)
    assert count_edges(smallest) == 5
    assert smallest.layers[0].active_edges.sum(dim=0).tolist() == [1, 1, 1]
    assert error(smallest, validation) < 0.04


def test_a_sum_of_curves_alone_has_one_fit() -> None:
    """It is linear in its coefficients; products and later layers are not."""
    assert [plan.shape for plan in plans(2) if not depends_on_start(plan)] == [(2, 1)]
