"""The mean of several networks is fitted further as one network."""

import pytest
import torch

from kan_model import KAN, KANConfig, align_grids, mean_network, members_of
from training.data.samples import Samples
from training.fitting.fit import begin, fit, fit_steps
from training.recipe.fit_sections import AdaptSection, FitSection

LBFGS = FitSection(optimizer="lbfgs", grids=(3, 6), steps=8)
ADAM = FitSection(optimizer="adam", grids=(3, 6), steps=20, batch_rows=64, learning_rate=0.02, weight_decay=0.01)
LEVENBERG = FitSection(optimizer="levenberg-marquardt", grids=(3, 6), steps=4)


def product(rows: int, seed: int) -> Samples:
    """Samples of x1 · x2."""
    x = torch.rand(rows, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Samples(x, x[:, :1] * x[:, 1:])


@pytest.mark.parametrize("plan", [LBFGS, ADAM, LEVENBERG], ids=lambda plan: plan.optimizer)
def test_members_are_fitted_together_and_stay_members(plan: FitSection) -> None:
    """The loss falls, no edge between members appears, and the mean of the members is the network."""
    members = [KAN(KANConfig((2, 3, 2, 1), grid_size=3), seed=seed, dtype=torch.float64) for seed in range(3)]
    kan = mean_network(members)
    train, validation = product(300, 0), product(100, 1)
    state = fit(kan, train, validation, plan, "regression")
    assert state.history[-1].train_loss < 0.5 * state.history[0].train_loss
    best = state.best
    assert best.members == kan.members
    assert torch.equal(best.layers[1].edge_mask, kan.layers[1].edge_mask)
    with torch.no_grad():
        mean = torch.stack([member(validation.x) for member in members_of(best)]).mean(dim=0)
        torch.testing.assert_close(mean, best(validation.x), rtol=1e-10, atol=1e-10)
        between = torch.where(best.layers[1].edge_mask == 0, best.layers[1].base_weight, 0)
    assert not between.any()


def test_adapted_members_that_ended_on_different_grids() -> None:
    """Grids that followed the same rows have the same domains, so knot insertion gives all the same grids."""
    train, validation = product(300, 0), product(100, 1)
    members = []
    for seed, grids in enumerate([(3,), (3, 6), (5,)]):
        plan = FitSection(optimizer="lbfgs", grids=grids, steps=4)
        kan = KAN(KANConfig((2, 3, 2, 1), grid_size=3), seed=seed, dtype=torch.float64)
        state = begin(kan, plan, train, AdaptSection())
        for _ in fit_steps(state, train, validation, plan, "regression", adapt=AdaptSection()):
            pass
        members.append(state.kan)
    assert [kan.layers[0].grid_size for kan in members] == [3, 6, 5]
    mean = mean_network(align_grids(members))
    with torch.no_grad():
        wanted = torch.stack([kan(2 * validation.x) for kan in members]).mean(dim=0)
        torch.testing.assert_close(mean(2 * validation.x), wanted, rtol=1e-9, atol=1e-9)
