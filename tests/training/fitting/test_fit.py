"""A fit converges, is repeatable, continues from a saved state, and survives numbers that are not finite."""

import copy

import pytest
import torch

from kan_model import KAN, KANConfig
from training.data.objective.loss_function import Task
from training.data.samples import Samples
from training.errors import FitRefused
from training.fitting.fit import FitState, TrainingDiverged, begin, fit, fit_steps
from training.fitting.on_rows import on_rows
from training.recipe.fit_sections import FitSection, SparsifySection

LBFGS = FitSection(optimizer="lbfgs", grids=(3, 6, 10), steps=40)
ADAM = FitSection(optimizer="adam", grids=(3, 6), steps=60, batch_rows=64, learning_rate=0.02)
LEVENBERG = FitSection(optimizer="levenberg-marquardt", grids=(3, 6, 10), steps=15)


def toy(rows: int, seed: int, dtype: torch.dtype = torch.float64) -> Samples:
    """Samples of exp(sin(πx) + y²), scaled to about unit variance."""
    x = torch.rand(rows, 2, dtype=dtype, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Samples(x, (torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2) - 2) / 2)


def spirals(rows: int, seed: int) -> Samples:
    """Two classes divided by a circle."""
    x = torch.rand(rows, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Samples(x, (x.square().sum(dim=1) > 0.6).long())


def in_classes(rows: Samples) -> Samples:
    """The same rows; what lies above 0 is one class, the rest the other."""
    return Samples(rows.x, (rows.y[:, 0] > 0).long())


def network(dtype: torch.dtype = torch.float64, outputs: int = 1) -> KAN:
    """[2, 5, outputs]."""
    return KAN(KANConfig((2, 5, outputs), grid_size=3), dtype=dtype)


@pytest.mark.parametrize("plan", [LBFGS, LEVENBERG])
def test_each_grid_lowers_the_loss(plan: FitSection) -> None:
    """Grid extension: on the paper's example the test error falls with every grid, below 1 % of the spread."""
    train, validation, test = toy(800, 0), toy(200, 1), toy(500, 2)
    state = fit(network(), train, validation, plan, "regression")
    ends = [record for record in state.history if record.step == plan.steps]
    assert [record.grid_size for record in ends] == [3, 6, 10]
    assert ends[0].train_loss > ends[1].train_loss > ends[2].train_loss
    with torch.no_grad():
        error = (state.best(test.x) - test.y).square().mean().sqrt() / test.y.std()
    assert error < 0.01


@pytest.mark.slow
def test_adam_converges_in_mini_batches() -> None:
    """Mini-batches learn a circle to 97 % of rows never seen."""
    state = fit(network(torch.float32, 2), spirals(1000, 0), spirals(300, 1), ADAM, "classification")
    test = spirals(1000, 2)
    with torch.no_grad():
        assert (state.best(test.x).argmax(dim=1) == test.y).double().mean() > 0.97


@pytest.mark.parametrize("plan", [LBFGS, ADAM, LEVENBERG])
def test_a_seed_makes_a_fit_repeatable_and_leaves_the_network_given_alone(plan: FitSection) -> None:
    """Twice the same network gives twice the same weights, to the bit."""
    plan = plan.model_copy(update={"steps": 10, "grids": (3, 5)})
    kan = network()
    before = copy.deepcopy(kan.state_dict())
    first, second = (fit(kan, toy(100, 0), toy(50, 1), plan, "regression").best for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert all(torch.equal(kan.state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("plan", [LBFGS, ADAM, LEVENBERG])
@pytest.mark.parametrize(
    ("stop_after", "dtype", "task"),
    [
        # One of them for each optimizer, the others in `make test-slow`.
        pytest.param(*case, marks=() if case == (1, torch.float32, "regression") else pytest.mark.slow)
        for case in [
            # All pairs of two of these.
            (1, torch.float32, "regression"),
            (1, torch.float64, "classification"),
            (3, torch.float32, "classification"),
            (3, torch.float64, "regression"),
            (4, torch.float32, "regression"),
            (4, torch.float64, "classification"),
        ]
    ],
)
def test_a_fit_gone_on_with_equals_one_that_never_stopped(
    plan: FitSection, stop_after: int, dtype: torch.dtype, task: Task
) -> None:
    """A fit stopped between steps or grids and continued gives the same bits."""
    plan = plan.model_copy(update={"steps": 30 if plan is LBFGS else 3, "grids": (3, 5)})
    train, validation, start = toy(100, 0, dtype), toy(50, 1, dtype), network(dtype)
    if task == "classification":
        train, validation, start = (*(in_classes(rows) for rows in (train, validation)), network(dtype, 2))
    through = fit(start, train, validation, plan, task)
    steps = fit_steps(begin(start, plan), train, validation, plan, task)
    for _ in range(stop_after):
        state = copy.deepcopy(next(steps))
    for _ in fit_steps(state, train, validation, plan, task):
        pass
    assert state.history == through.history
    assert all(torch.equal(a, b) for a, b in zip(state.best.parameters(), through.best.parameters(), strict=True))


def test_the_best_network_on_validation_rows_is_kept() -> None:
    """Few noisy rows and a fine grid overfit: what is kept has the lowest validation loss of all that were seen."""
    noise = 0.3 * torch.randn(40, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    train = Samples(toy(40, 0).x, toy(40, 0).y + noise)
    validation = toy(200, 1)
    state = fit(network(), train, validation, LBFGS.model_copy(update={"grids": (3, 30)}), "regression")
    with torch.no_grad():
        kept = float((state.best(validation.x) - validation.y).square().mean())
    assert kept == pytest.approx(min(record.validation_loss for record in state.history))
    assert kept < state.history[-1].validation_loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grids", [(5,), (6, 7)])
def test_a_fit_is_no_worse_than_what_it_was_given(grids: tuple[int, ...], dtype: torch.dtype) -> None:
    """If every step makes the loss worse, the given network is the result, bit for bit, on its own grid."""
    coarse = FitSection(optimizer="lbfgs", grids=(5,), steps=60)
    given = fit(network(dtype), toy(200, 0, dtype), toy(100, 1, dtype), coarse, "regression").best
    validation, harmful = toy(100, 1, dtype), FitSection(grids=grids, steps=3, learning_rate=5.0)
    before = copy.deepcopy(given.state_dict())
    state = fit(given, toy(200, 0, dtype), validation, harmful, "regression")
    with torch.no_grad():
        loss = float((given(validation.x) - validation.y).square().mean())
    assert state.best_loss == pytest.approx(loss, rel=1e-5 if dtype == torch.float32 else 1e-12)
    assert state.best_loss < min(record.validation_loss for record in state.history)
    assert all(torch.equal(state.best.state_dict()[name], tensor) for name, tensor in before.items())


def test_a_step_to_infinity_ends_its_grid_and_keeps_the_best() -> None:
    """If targets become NaN half-way, the fit ends with the best network from before."""
    train = toy(50, 0)
    state = begin(network(), LBFGS)
    steps = fit_steps(state, train, toy(50, 1), LBFGS, "regression")
    next(steps)
    best = copy.deepcopy(state.best)
    train.y.fill_(float("nan"))
    for _ in steps:
        pass
    assert all(torch.equal(a, b) for a, b in zip(state.best.parameters(), best.parameters(), strict=True))


@pytest.mark.parametrize("plan", [LBFGS, ADAM, LEVENBERG])
def test_a_fit_without_any_finite_loss_says_so(plan: FitSection) -> None:
    """Without any finite loss the fit raises an error with the remedy, and gives no NaN weights."""
    train = toy(20, 0)
    train.y.fill_(1e200)
    with pytest.raises(TrainingDiverged, match="not finite on grid 3") as caught:
        fit(network(), train, toy(20, 1), plan, "regression")
    assert ("learning_rate" in str(caught.value)) == (plan is not LEVENBERG)


def test_a_grid_ends_where_no_step_lowers_the_loss() -> None:
    """Targets that the network meets already: one step that finds nothing ends the grid; also gone on with."""
    plan = LEVENBERG.model_copy(update={"grids": (3,)})
    start, x = begin(network(), plan), toy(100, 0).x
    model = on_rows(start.kan, x)
    met = Samples(x, model.answers(model.start))
    before = copy.deepcopy(start.kan)
    steps = fit_steps(start, met, met, plan, "regression")
    stopped = copy.deepcopy(next(steps))
    *_, through = steps
    assert [record.step for record in through.history] == [1]
    assert through.history[0].train_loss == 0
    assert all(torch.equal(a, b) for a, b in zip(through.kan.parameters(), before.parameters(), strict=True))
    for _ in fit_steps(stopped, met, met, plan, "regression"):
        pass
    assert stopped.history == through.history


def test_what_levenberg_and_marquardt_cannot_fit_is_refused_before_any_step() -> None:
    """Too many parameters on the last grid although the first would do, and a price of edges."""
    rows, plan = toy(20, 0), LEVENBERG.model_copy(update={"grids": (3, 300)})
    with pytest.raises(FitRefused, match=r"4096 .* 4560 "):
        next(fit_steps(begin(network(), plan), rows, rows, plan, "regression"))
    with pytest.raises(FitRefused, match="cannot add a penalty"):
        next(fit_steps(begin(network(), LEVENBERG), rows, rows, LEVENBERG, "regression", SparsifySection()))


def test_edges_that_are_not_there_stay_away() -> None:
    """A masked input has no influence after a fit on finer grids either."""
    kan = network()
    kan.layers[0].edge_mask[:, 1] = 0
    state: FitState = fit(kan, toy(60, 0), toy(30, 1), LBFGS, "regression")
    x = torch.zeros(2, 2, dtype=torch.float64)
    x[1, 1] = 0.7
    y = state.best(x)
    # Not to the bit: a product may add the numbers of one row in another order than those of the next.
    torch.testing.assert_close(y[0], y[1], rtol=1e-12, atol=1e-12)
