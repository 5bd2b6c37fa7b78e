"""Losses and scores against scikit-learn, and against rows that are written several times."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from training.data.objective import Task, loss, score

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
