"""The networks of splines of a search."""

import numpy as np
import torch

from training.data.samples import Samples
from training.formulas.networks import fit_networks, worth
from training.formulas.work import Work


def test_a_line_is_the_cheapest_network_and_a_spent_budget_leaves_what_was_fitted() -> None:
    """2·a + 1 with noise: one straight edge, one constant; two curves cost six. Less budget: the first alone."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (200, 1))
    y = 2 * x[:, 0] + 1 + 0.01 * random.standard_normal(200)
    rows = Samples(torch.from_numpy(x), torch.from_numpy(y / y.std())[:, None])
    train, validation = rows.take(torch.arange(150)), rows.take(torch.arange(150, 200))
    every = [(1, 1), (1, 1, 1)]
    fitted = fit_networks(every, train, validation, 0, Work(1e9, lambda: None))
    assert [(each.shape, each.edges, each.price) for each in fitted] == [((1, 1), 1, 1), ((1, 1, 1), 2, 6)]
    assert all(each.error <= worth(min(each.error for each in fitted)) for each in fitted)
    spent = Work(500, lambda: None)
    assert [each.shape for each in fit_networks(every, train, validation, 0, spent)] == [(1, 1)]
    assert spent.is_spent
    assert fit_networks(every, train, validation, 0, Work(100, lambda: None)) == []
