"""Losses and scores against scikit-learn, and against rows that are written several times."""

import numpy as np
import pytest
import torch
from scipy.special import huber
from sklearn import metrics as sk
from sklearn.linear_model import GammaRegressor, PoissonRegressor, QuantileRegressor
from torch import Tensor

from training.data.objective.loss import best_constant, loss, score
from training.data.objective.loss_function import LossFunction, Task
from training.data.samples import Samples
from training.errors import FitRefused
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection

ROWS = 40
COUNTS = torch.from_numpy(np.random.default_rng(5).integers(0, 4, ROWS))
WEIGHTS = COUNTS / COUNTS.double().mean()


def content(task: Task, outputs: int = 3) -> tuple[Tensor, Tensor]:
    """Outputs of a network, and targets."""
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(ROWS, outputs, dtype=torch.float64, generator=generator)
    if task == "classification":
        return found, torch.randint(outputs, (ROWS,), generator=generator)
    return found, found + torch.randn(ROWS, outputs, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_weight_is_a_number_of_rows(task: Task) -> None:
    """Loss and score are those of a table in which a row of weight 2 stands twice, and one of weight 0 not at all."""
    found, y = content(task)
    again = torch.repeat_interleave(torch.arange(ROWS), COUNTS)
    assert float(loss(task, found, y, WEIGHTS)) == pytest.approx(float(loss(task, found[again], y[again])), rel=1e-12)
    assert score(task, found, y, WEIGHTS) == pytest.approx(score(task, found[again], y[again]), rel=1e-12)
    ones = torch.ones(ROWS, dtype=torch.float64)
    assert float(loss(task, found, y, ones)) == pytest.approx(float(loss(task, found, y)), rel=1e-12)


def test_weighted_losses_and_scores_are_those_of_scikit_learn() -> None:
    """Log loss and accuracy of classes; squared error and R² of numbers."""
    found, y = content("classification")
    weights = WEIGHTS.numpy()
    wanted = sk.log_loss(y, found.softmax(dim=1), sample_weight=weights, labels=[0, 1, 2])
    assert float(loss("classification", found, y, WEIGHTS)) == pytest.approx(wanted, rel=1e-10)
    wanted = sk.accuracy_score(y, found.argmax(dim=1), sample_weight=weights)
    assert score("classification", found, y, WEIGHTS) == pytest.approx(wanted)
    found, y = content("regression", 1)
    wanted = sk.mean_squared_error(y, found, sample_weight=weights)
    assert float(loss("regression", found, y, WEIGHTS)) == pytest.approx(wanted, rel=1e-10)
    assert score("regression", found, y, WEIGHTS) == pytest.approx(sk.r2_score(y, found, sample_weight=weights))


def test_the_losses_of_batches_add_up_to_that_of_all_rows() -> None:
    """Weights have a mean of 1 over all rows, not over a batch: a batch of weight 0 gives no gradient and no NaN."""
    found, y = content("regression")
    parts = [loss("regression", found[some], y[some], WEIGHTS[some]) for some in torch.split(torch.arange(ROWS), 8)]
    assert float(torch.stack(parts).mean()) == pytest.approx(float(loss("regression", found, y, WEIGHTS)), rel=1e-12)
    nothing = loss("regression", found, y, torch.zeros(ROWS, dtype=torch.float64))
    assert float(nothing) == 0


LOSSES = {
    "mae": LossFunction("mae"),
    "huber": LossFunction("huber", delta=(0.5, 2.0)),
    "quantile": LossFunction("quantile", quantile=0.8),
    "poisson": LossFunction("poisson"),
    "gamma": LossFunction("gamma"),
}


def numbers_of(name: str) -> tuple[Tensor, Tensor]:
    """Outputs and targets that the loss allows, of two outputs; counts with zeros for poisson."""
    random = np.random.default_rng(2)
    outputs = torch.from_numpy(random.normal(size=(ROWS, 2)))
    drawn = {"poisson": random.poisson(1.0, (ROWS, 2)), "gamma": random.gamma(2.0, size=(ROWS, 2))}
    return outputs, torch.from_numpy(drawn.get(name, random.normal(0, 2, (ROWS, 2))).astype(float))


def by_scikit_learn(name: str, outputs: Tensor, y: Tensor, weights: np.ndarray | None) -> float:
    """The loss as scikit-learn and scipy define it, the mean of both outputs."""
    each = []
    for place in range(2):
        f, t = outputs[:, place].numpy(), y[:, place].numpy()
        match name:
            case "mae":
                each.append(sk.mean_absolute_error(t, f, sample_weight=weights))
            case "quantile":
                each.append(sk.mean_pinball_loss(t, f, alpha=0.8, sample_weight=weights))
            case "poisson":
                each.append(sk.mean_poisson_deviance(t, np.exp(f), sample_weight=weights))
            case "gamma":
                each.append(sk.mean_gamma_deviance(t, np.exp(f), sample_weight=weights))
            case "huber":
                each.append(np.average(2 * huber((0.5, 2.0)[place], f - t), weights=weights))
    return float(np.mean(each))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_scikit_learn(name: str, weighted: bool) -> None:
    """Also with weights; counts may be 0."""
    outputs, y = numbers_of(name)
    wanted = by_scikit_learn(name, outputs, y, WEIGHTS.numpy() if weighted else None)
    found = loss(LOSSES[name], outputs, y, WEIGHTS if weighted else None)
    assert float(found) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_differences(name: str) -> None:
    """The gradient of each loss equals finite differences, where the loss has no kink."""
    outputs, y = numbers_of(name)
    assert torch.autograd.gradcheck(lambda f: loss(LOSSES[name], f, y, WEIGHTS), (outputs.requires_grad_(True),))


@pytest.mark.parametrize("name", [*LOSSES, "squared_error"])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_constant_is_better_than_the_best(name: str, weighted: bool) -> None:
    """A step to either side raises the loss, and its score is 0; with weights as with rows written several times."""
    function = LOSSES.get(name, LossFunction("squared_error"))
    _, y = numbers_of(name)
    y = y[:, :1] if name == "squared_error" else y
    weights = WEIGHTS if weighted else None
    best = best_constant(function, y, weights)
    least = float(loss(function, best.expand_as(y), y, weights))
    for step in (-1e-3, 1e-3):
        assert float(loss(function, (best + step).expand_as(y), y, weights)) >= least - 1e-12
    assert score(function, best.expand_as(y), y, weights) == pytest.approx(0, abs=1e-9)
    if weighted:
        again = torch.repeat_interleave(torch.arange(ROWS), COUNTS)
        torch.testing.assert_close(best, best_constant(function, y[again]))


@pytest.mark.parametrize("quantile", [1e-9, 1 - 1e-9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_farthest_quantiles_are_the_least_and_the_largest_target(quantile: float, dtype: torch.dtype) -> None:
    """Also where the weights do not sum to 1 in the last digits, and not among rows of weight 0."""
    y = torch.arange(1000.0, dtype=dtype)[:, None]
    weights = torch.full((1000,), 0.1, dtype=dtype)
    weights[[0, 999]] = 0
    best = best_constant(LossFunction("quantile", quantile), y, weights)
    assert float(best) == (1 if quantile < 0.5 else 998)


def test_a_huber_loss_lies_between_squared_and_absolute_error() -> None:
    """With a large delta it is the squared error; with a small one 2·delta times the absolute error."""
    outputs, y = numbers_of("huber")
    wide, narrow = LossFunction("huber", delta=(1e6,)), LossFunction("huber", delta=(1e-6,))
    assert float(loss(wide, outputs, y)) == pytest.approx(float(loss("regression", outputs, y)))
    absolute = float(loss(LossFunction("mae"), outputs, y))
    assert float(loss(narrow, outputs, y)) == pytest.approx(2e-6 * absolute, rel=1e-4)


def test_delta_goes_with_the_unit_of_the_targets() -> None:
    """Targets divided by a scale have the same loss, divided by its square, if delta is divided too."""
    outputs, y = numbers_of("huber")
    scale = torch.tensor([10.0, 0.1], dtype=torch.float64)
    raw = LossFunction("huber", delta=(0.7,))
    for place in range(2):
        of_one = raw.in_units(scale[place : place + 1].numpy())
        found = loss(of_one, (outputs / scale)[:, place : place + 1], (y / scale)[:, place : place + 1])
        wanted = loss(raw, outputs[:, place : place + 1], y[:, place : place + 1]) / scale[place] ** 2
        assert float(found) == pytest.approx(float(wanted), rel=1e-10)


@pytest.mark.parametrize(
    ("name", "regressor"),
    [
        ("poisson", PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000)),
        ("gamma", GammaRegressor(alpha=0, tol=1e-10, max_iter=1000)),
        ("quantile", QuantileRegressor(quantile=0.8, alpha=0)),
    ],
)
def test_a_linear_model_is_that_of_scikit_learn(
    name: str, regressor: PoissonRegressor | GammaRegressor | QuantileRegressor
) -> None:
    """The same losses with the same links, minimized by our LBFGS and by scikit-learn, with weights."""
    random = np.random.default_rng(3)
    x = random.uniform(-1, 1, (200, 3))
    mean = np.exp(1 + x @ [1.0, -0.5, 0.2])
    drawn = {"poisson": random.poisson(mean), "gamma": mean * random.gamma(3, 1 / 3, 200)}
    y = drawn.get(name, mean + random.normal(0, 1, 200)).astype(float)
    weights = random.uniform(0.5, 2, 200)
    weights /= weights.mean()
    regressor.fit(x, y, sample_weight=weights)
    rows = Samples(torch.from_numpy(x), torch.from_numpy(y[:, None]), torch.from_numpy(weights))
    start = torch.nn.Linear(3, 1, dtype=torch.float64)
    torch.nn.init.zeros_(start.weight)
    torch.nn.init.ones_(start.bias)
    plan = FitSection(optimizer="lbfgs", steps=200, grids=(1,))
    found = fit_module(start, rows, rows, plan, LOSSES[name]).best
    linear = torch.from_numpy(np.append(regressor.coef_, regressor.intercept_))
    if name == "quantile":
        # A loss with kinks: LBFGS comes near its least value.
        wanted = sk.mean_pinball_loss(y, regressor.predict(x), alpha=0.8, sample_weight=weights)
        reached = float(loss(LOSSES[name], found(rows.x).detach(), rows.y, rows.weights))
        assert wanted <= reached + 1e-9
        assert reached == pytest.approx(wanted, rel=0.01)
    else:
        fitted = torch.cat([found.weight.detach()[0], found.bias.detach()])
        torch.testing.assert_close(fitted, linear, rtol=1e-4, atol=1e-4)


def test_levenberg_and_marquardt_refuse_other_losses_by_name() -> None:
    """It needs a sum of squares."""
    rows = Samples(torch.zeros(5, 1), torch.zeros(5, 1))
    plan = FitSection(optimizer="levenberg-marquardt", steps=2, grids=(1,))
    with pytest.raises(FitRefused, match=r'levenberg-marquardt takes squared error only, .* "poisson"'):
        fit_module(torch.nn.Linear(1, 1), rows, rows, plan, LossFunction("poisson"))


def test_smoothed_labels_are_targets_of_every_class() -> None:
    """The cross entropy of targets that give each class its part of the share, with weights and without."""
    found, y = content("classification")
    targets = 0.2 / 3 + 0.8 * torch.eye(3, dtype=torch.float64)[y]
    each = -(targets * found.log_softmax(dim=1)).sum(dim=1)
    for weights, wanted in ((None, each.mean()), (WEIGHTS, (WEIGHTS * each).mean())):
        smoothed = loss("classification", found, y, weights, label_smoothing=0.2)
        assert float(smoothed) == pytest.approx(float(wanted), rel=1e-12)
