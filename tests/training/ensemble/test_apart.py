"""The answers that calibrate: no target of a row changes the answer to that row."""

import numpy as np
import pytest
import torch
from torch import Tensor

from kan_model import KAN, KANConfig
from training.data.samples import Samples
from training.ensemble.apart import follow_apart
from training.ensemble.fit import DealtRows, begin_members, fit_members
from training.fitting.state import FitState
from training.recipe.fit_sections import FitSection

PLAN = FitSection(grids=(4,), steps=60, batch_rows=16, learning_rate=0.05)
COUNT, MEMBERS, PARTS = 120, 2, 3
X = torch.rand(COUNT, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1


def fitted(y: Tensor) -> FitState:
    """Two members, fitted to classes with much noise, so that the best step is not the last one."""
    rows = DealtRows(Samples(X, y), torch.arange(COUNT) % MEMBERS, MEMBERS, parts=torch.arange(COUNT) // 7 % PARTS)
    state = begin_members([KAN(KANConfig((2, 4, 2), grid_size=4), seed=seed) for seed in range(MEMBERS)])
    for _ in fit_members(state, rows, PLAN, "classification"):
        pass
    return state


def test_a_row_neither_trains_nor_chooses_what_answers_it() -> None:
    """Other classes of the rows of fold 0 in part 1 leave the answers to these rows as they are, and move others."""
    is_noise = torch.from_numpy(np.random.default_rng(0).random(COUNT) < 0.3)
    y = ((X[:, 0] > 0) ^ is_noise).long()
    own = (torch.arange(COUNT) % MEMBERS == 0) & (torch.arange(COUNT) // 7 % PARTS == 1)
    before, after = fitted(y), fitted(torch.where(own, 1 - y, y))
    assert before.apart is not None
    assert after.apart is not None
    torch.testing.assert_close(after.apart.answers[own], before.apart.answers[own], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after.apart.answers[~own], before.apart.answers[~own], atol=1e-2)


def test_the_loss_of_the_other_parts_chooses_the_step() -> None:
    """Of three steps each part's rows keep the answers of the one that is best for the other part."""
    y = torch.tensor([[0.0], [0.0]])
    parts = torch.tensor([0, 1])
    apart = None
    for answers in ([[3.0], [1.0]], [[1.0], [2.0]], [[2.0], [3.0]]):
        apart = follow_apart(apart, torch.tensor(answers), Samples(torch.zeros(2, 1), y), parts, "regression")
    assert apart is not None
    # Row 1 is best in the first step, so row 0 keeps its first answer; row 0 is best in the second.
    assert apart.answers.tolist() == [[3.0], [2.0]]
    assert apart.losses.tolist() == [1.0, 1.0]


def test_rows_of_the_only_part_have_no_answer() -> None:
    """Nothing is left to choose their step."""
    samples = Samples(torch.zeros(4, 1), torch.zeros(4, 1))
    apart = follow_apart(None, torch.ones(4, 1), samples, torch.zeros(4, dtype=torch.int64), "regression")
    assert torch.isnan(apart.answers).all()


@pytest.mark.parametrize("weights", [torch.tensor([1.0, 1.0, 4.0, 0.0]), None])
def test_weights_count_in_the_choice(weights: Tensor | None) -> None:
    """The loss of the other part is the weighted one."""
    samples = Samples(torch.zeros(4, 1), torch.zeros(4, 1), weights)
    answered = torch.tensor([[1.0], [2.0], [3.0], [5.0]])
    apart = follow_apart(None, answered, samples, torch.tensor([0, 0, 1, 1]), "regression")
    wanted = [(9 + 25) / 2, (1 + 4) / 2] if weights is None else [4 * 9 / 2, (1 + 4) / 2]
    np.testing.assert_allclose(apart.losses.numpy(), wanted, rtol=1e-6)
