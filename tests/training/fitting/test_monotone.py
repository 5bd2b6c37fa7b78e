"""Fits of monotone networks: every optimizer, and learning on, keeps the directions and lowers the loss."""

import copy

import numpy as np
import pytest
import torch
from sklearn.isotonic import IsotonicRegression

from kan_model import KAN, KANConfig, with_monotone_inputs
from kan_model.monotone.promise import settled
from training.data.samples import Samples
from training.fitting.continual import fit_on
from training.fitting.fit import fit
from training.fitting.on_rows import on_rows
from training.recipe.fit_sections import FitSection

PLANS = {
    "adam": FitSection(optimizer="adam", grids=(3, 5), steps=60, batch_rows=64, learning_rate=0.02),
    "lbfgs": FitSection(optimizer="lbfgs", grids=(3, 5), steps=60),
    "levenberg-marquardt": FitSection(optimizer="levenberg-marquardt", grids=(3, 5), steps=20),
}


def samples(count: int, seed: int, low: float = -1.0, high: float = 1.0) -> Samples:
    """Rows of three inputs; the target rises with the first, falls with the second and waves with the third."""
    x = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * (high - low) + low
    y = torch.tanh(3 * x[:, :1]) - x[:, 1:2].exp() / 2 + torch.sin(4 * x[:, 2:]) * (1 + x[:, :1]) / 3
    return Samples(x, y, None)


def network() -> KAN:
    """A new network that rises with the first input and falls with the second."""
    kan = KAN(KANConfig((3, 6, 1), grid_size=3, hidden_domain=(-3.0, 3.0)), seed=1, dtype=torch.float64)
    return with_monotone_inputs(kan, (1, -1, 0), (1,))


def is_monotone(kan: KAN) -> bool:
    """Whether no answer to 20,000 random pairs is out of order by more than rounding."""
    generator = torch.Generator().manual_seed(3)
    lower = torch.rand(20_000, 3, generator=generator, dtype=torch.float64) * 6 - 3
    moved = lower + torch.rand(20_000, 3, generator=generator, dtype=torch.float64) * torch.tensor([1.0, -1.0, 0.0])
    exact = settled(copy.deepcopy(kan)).double()
    with torch.no_grad():
        before, after = exact(lower), exact(moved)
    return float((before - after).max()) <= 1e-12 * float(before.max() - before.min())


@pytest.mark.parametrize("name", PLANS)
def test_each_optimizer_learns_and_keeps_the_promise(name: str) -> None:
    """On two grids, of which the second does not hold the knots of the first."""
    train, validation = samples(400, 0), samples(200, 1)
    state = fit(network(), train, validation, PLANS[name], "regression")
    assert state.best_loss < 0.05 * float(validation.y.var())
    assert is_monotone(state.best)
    assert not state.diverged


def test_a_single_edge_comes_near_isotonic_regression() -> None:
    """Isotonic regression is the rising function nearest to noisy rows; a spline is nearer to the truth."""
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(-1, 1, 300))
    truth = np.sign(x) * x**2
    y = truth + random.normal(0, 0.2, 300)
    rows = Samples(torch.from_numpy(x[:, None]), torch.from_numpy(y[:, None]), None)
    edge = with_monotone_inputs(KAN(KANConfig((1, 1), grid_size=8), dtype=torch.float64), (1,), (1,))
    plan = FitSection(optimizer="lbfgs", grids=(8,), steps=200)
    found = fit(edge, rows, rows, plan, "regression").best
    best = IsotonicRegression().fit_transform(x, y)
    answered = found(rows.x)[:, 0].detach().numpy()
    assert (np.diff(answered) >= -1e-12).all()
    assert np.mean((best - y) ** 2) < np.mean((answered - y) ** 2) < 1.2 * np.mean((best - y) ** 2)
    assert np.mean((answered - truth) ** 2) < np.mean((best - truth) ** 2)


def test_a_falling_truth_is_answered_by_a_constant() -> None:
    """Where the rows say the opposite, the promise holds all the same: the input stops to matter."""
    rows = samples(400, 0)
    turned = Samples(rows.x, -2 * rows.x[:, :1], None)
    found = fit(network(), turned, turned, PLANS["lbfgs"], "regression").best
    assert is_monotone(found)
    x = turned.x.clone()
    x[:, 0] = torch.linspace(-1, 1, len(x), dtype=torch.float64)
    x[:, 1:] = 0
    answered = found(x).detach()
    assert float(answered.max() - answered.min()) < 0.1


def test_derivatives_are_those_by_the_parameters() -> None:
    """Levenberg–Marquardt's Jacobian agrees with central differences, where steps are turned too."""
    kan = network()
    with torch.no_grad():
        for parameter in kan.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    x = samples(5, 4).x
    model = on_rows(kan, x)
    place = model.start
    found = torch.empty(5, 1, len(place), dtype=torch.float64)
    model.write_jacobian(place, slice(0, 5), found)
    for column, step in enumerate(1e-6 * torch.eye(len(place), dtype=torch.float64)):
        change = (model.answers(place + step) - model.answers(place - step)) / 2e-6
        torch.testing.assert_close(found[..., column], change, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_learning_on_keeps_the_promise_and_all_other_numbers(optimizer: str, dtype: torch.dtype) -> None:
    """From rows of one corner that contradict it; coefficients that they do not touch keep their bits."""
    train, validation = samples(400, 0), samples(200, 1)
    kan = settled(fit(network(), train, validation, PLANS["lbfgs"], "regression").best).to(dtype)
    new = samples(100, 5, 0.2, 0.9)
    target = new.y - 3 * new.x[:, :1]
    plan = FitSection(optimizer=optimizer, steps=40)  # type: ignore[arg-type]
    found = fit_on(kan, new.x, target, plan=plan)
    assert found.history[-1].train_loss < found.history[0].train_loss
    assert is_monotone(found.kan)
    then, now = kan.state_dict(), found.kan.state_dict()
    for index, free in enumerate(found.free):
        assert 0 < free.sum() < free.numel()
        name = f"layers.{index}.coefficients"
        assert not torch.equal(then[name], now[name])
        now[name] = torch.where(free, then[name], now[name])
    assert all(torch.equal(then[name], now[name]) for name in then)


def test_learning_on_by_least_squares_is_refused() -> None:
    """At the bounds of a coefficient the derivatives that it needs are 0."""
    new = samples(50, 5)
    plan = FitSection(optimizer="levenberg-marquardt", steps=5)
    with pytest.raises(ValueError, match="levenberg-marquardt: not where the model is monotone"):
        fit_on(network(), new.x, new.y, plan=plan)
