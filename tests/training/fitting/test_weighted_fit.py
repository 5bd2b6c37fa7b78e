"""Fits with weights: a row of weight 2 counts as two rows, one of weight 0 as none."""

import copy
from typing import Literal

import pytest
import torch

from kan_model import KAN, KANConfig
from training.data.objective.loss_function import Task
from training.data.samples import Samples, check_samples
from training.errors import FitRefused
from training.fitting.continual import fit_on
from training.fitting.fit import fit
from training.fitting.normal_equations import LeastSquares
from training.recipe.fit_sections import FitSection

COUNTS = torch.arange(60) % 4
WEIGHTS = COUNTS / COUNTS.double().mean()
AGAIN = torch.repeat_interleave(torch.arange(60), COUNTS)


def rows(task: Task) -> Samples:
    """Weighted rows with noise, in float64."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(60, 2, dtype=torch.float64, generator=generator) - 1
    y = torch.sin(3 * x[:, :1]) + x[:, 1:] + 0.3 * torch.randn(60, 1, dtype=torch.float64, generator=generator)
    return Samples(x, (y[:, 0] > 0).long() if task == "classification" else y, WEIGHTS)


def network(task: Task) -> KAN:
    """A small network in float64."""
    return KAN(KANConfig((2, 2, 2 if task == "classification" else 1), grid_size=3), dtype=torch.float64)


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "levenberg-marquardt"])
def test_weights_are_numbers_of_rows(task: Task, optimizer: Literal["lbfgs", "levenberg-marquardt"]) -> None:
    """The network and its losses are those of the table in which each row stands as often as its weight says."""
    weighted = rows(task)
    repeated = Samples(weighted.x[AGAIN], weighted.y[AGAIN])
    plan = FitSection(optimizer=optimizer, grids=(3,), steps=5)
    found, wanted = (fit(network(task), each, each, plan, task) for each in (weighted, repeated))
    assert found.history[-1].train_loss == pytest.approx(wanted.history[-1].train_loss, rel=1e-6)
    assert found.history[-1].validation_score == pytest.approx(wanted.history[-1].validation_score, rel=1e-6)
    torch.testing.assert_close(found.best(weighted.x), wanted.best(weighted.x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_normal_equations_of_weighted_rows(task: Task) -> None:
    """Matrix, gradient and scale are those of repeated rows, as sums over as many rows as the weights count."""
    weighted = rows(task)
    kan = network(task)
    problems = [LeastSquares.of(kan, each, task) for each in (weighted, Samples(weighted.x[AGAIN], weighted.y[AGAIN]))]
    found, wanted = (problem.normal(problem.model.start) for problem in problems)
    share = len(AGAIN) / 60
    torch.testing.assert_close(found.matrix * share, wanted.matrix)
    torch.testing.assert_close(found.gradient * share, wanted.gradient)
    torch.testing.assert_close(found.scale * share, wanted.scale)


@pytest.mark.parametrize("batch_rows", [8, None])
def test_rows_of_weight_0_have_no_say(batch_rows: int | None) -> None:
    """With Adam too: whatever their targets, the network is the same to the bit."""
    weighted = rows("regression")
    other = Samples(weighted.x, torch.where(COUNTS[:, None] > 0, weighted.y, 1e3), WEIGHTS)
    plan = FitSection(grids=(3,), steps=4, batch_rows=batch_rows)
    found = [fit(network("regression"), each, each, plan, "regression").best for each in (weighted, other)]
    assert torch.equal(found[0](weighted.x), found[1](weighted.x))


def test_a_version_that_learns_on_heeds_weights() -> None:
    """The new rows' weights count in the fit of the free coefficients."""
    weighted = rows("regression")
    kan = network("regression")
    plan = FitSection(optimizer="lbfgs", steps=10)
    found = fit_on(kan, weighted.x, weighted.y, plan=plan, new_weights=WEIGHTS)
    wanted = fit_on(kan, weighted.x[AGAIN], weighted.y[AGAIN], plan=plan)
    torch.testing.assert_close(found.kan(weighted.x), wanted.kan(weighted.x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        (torch.ones(59, dtype=torch.float64), "shape"),
        (torch.ones(60), "float32"),
        (torch.zeros(60, dtype=torch.float64), "one above 0"),
        (-WEIGHTS, "0 or more"),
        (torch.where(torch.arange(60) == 7, torch.nan, WEIGHTS), "row 7 first"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: torch.Tensor, why: str) -> None:
    """Before the first step, with what was wanted."""
    weighted = rows("regression")
    with pytest.raises(FitRefused, match=f"weights .*{why}"):
        check_samples(network("regression"), Samples(weighted.x, weighted.y, weights), "regression", "training")


def test_the_samples_given_are_not_changed() -> None:
    """The normal equations scale a copy."""
    weighted = rows("regression")
    before = copy.deepcopy(weighted)
    LeastSquares.of(network("regression"), weighted, "regression").normal(
        LeastSquares.of(network("regression"), weighted, "regression").model.start
    )
    assert torch.equal(weighted.y, before.y)
    assert before.weights is not None
    assert torch.equal(WEIGHTS, before.weights)
