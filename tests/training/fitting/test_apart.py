"""Each fold's step is chosen by the rows of the other folds."""

import torch

from training.data.samples import Samples
from training.fitting.apart import Apart, ApartRows

FOLDS = torch.tensor([0, 0, 1, 1, 2, 2])
TRUTH = torch.zeros(6, 1)


def after(steps: list[list[float]], truth: torch.Tensor = TRUTH) -> Apart:
    """What is kept after looks at these answers, a list for each step."""
    apart = Apart.begin(3, 6, 1, truth)
    for number, answers in enumerate(steps):
        apart.look(
            number,
            torch.tensor(answers, dtype=torch.float32)[:, None],
            Samples(torch.zeros(6, 1), truth),
            FOLDS,
            "regression",
        )
    return apart


def test_a_fold_takes_the_step_that_is_best_for_the_others() -> None:
    """Of step 0 the answers of fold 0 are bad, of step 1 those of fold 1: all but one fold avoid each."""
    apart = after([[9, 9, 1, 1, 1, 1], [1, 1, 9, 9, 1, 1], [4, 4, 4, 4, 4, 4]])
    assert apart.steps.tolist() == [0, 1, 2]
    assert apart.answers[:, 0].tolist() == [9, 9, 9, 9, 4, 4]


def test_a_row_has_no_say_in_the_step_of_its_own_answer() -> None:
    """Other true values in fold 1 leave its step and its answers as they are, and change those of others."""
    steps = [[9, 9, 1, 1, 1, 1], [1, 1, 9, 9, 1, 1], [4, 4, 4, 4, 4, 4]]
    other = TRUTH.clone()
    other[2:4] = 9.0
    plain, moved = after(steps), after(steps, other)
    assert plain.steps[1] == moved.steps[1]
    assert torch.equal(plain.answers[2:4], moved.answers[2:4])
    assert plain.steps[0] != moved.steps[0]


def test_a_fold_that_has_ended_takes_no_later_step() -> None:
    """Its answers stay, while others go on."""
    apart = after([[5, 5, 5, 5, 5, 5]])
    apart.end_some(torch.tensor([True, False, False]))
    apart.look(1, torch.ones(6, 1), Samples(torch.zeros(6, 1), TRUTH), FOLDS, "regression")
    assert apart.steps.tolist() == [0, 1, 1]
    assert apart.answers[:, 0].tolist() == [5, 5, 1, 1, 1, 1]


def test_without_another_fold_there_is_no_answer() -> None:
    """Nobody but its own rows could choose."""
    apart = Apart.begin(1, 2, 1, TRUTH)
    apart.look(0, TRUTH[:2], Samples(TRUTH[:2], TRUTH[:2]), FOLDS[:2], "regression")
    assert bool(apart.answers.isnan().all())


def test_rows_that_chose_the_plan_are_left_out() -> None:
    """By their numbers; all that chose are known afterwards."""
    numbers = FOLDS.numpy() * 10
    rows = ApartRows(numbers, TRUTH.numpy(), FOLDS.numpy(), numbers[:0])
    left = rows.without(numbers[:2]).without(numbers[5:])
    assert left.numbers.tolist() == [10, 10]
    assert left.chose.tolist() == [0, 20]
