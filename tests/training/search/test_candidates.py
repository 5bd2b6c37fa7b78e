"""The candidates that a budget allows, and the work that is counted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from training.errors import RecipeError
from training.recipe.config import Recipe, load_recipe
from training.search.candidates import UNIT, plan_search

SEARCH = """
[ensemble]
members = 4
[search]
budget = {budget}
[[search.candidates]]
steps = 10
[[search.candidates]]
hidden = [20]
weight_decay = 0.5
"""


@pytest.fixture
def recipe(write_recipe: Callable[..., Path]) -> Callable[[float], Recipe]:
    """Two candidates, four members, 5 steps and 3 hidden nodes if nothing else is said."""

    def of(budget: float) -> Recipe:
        path = write_recipe()
        path.write_text(path.read_text() + SEARCH.format(budget=budget))
        return load_recipe(path)

    return of


def test_candidates_change_their_keys_and_nothing_else(recipe: Callable[[float], Recipe]) -> None:
    """All other keys are those of the recipe."""
    plan = plan_search(recipe(1.0), 100, 5, 1, 4)
    one, two = (candidate.recipe for candidate in plan.candidates)
    assert (one.fit.steps, one.network.hidden, one.fit.weight_decay) == (10, (3,), 0.0)
    assert (two.fit.steps, two.network.hidden, two.fit.weight_decay) == (5, (20,), 0.5)
    assert one.split == two.split == recipe(1.0).split
    assert [candidate.text for candidate in plan.candidates] == ["steps = 10", "hidden = [20], weight_decay = 0.5"]


def test_work_is_epochs_times_rows_times_edges(recipe: Callable[[float], Recipe]) -> None:
    """Of one member: 10 · 100 · (5·3 + 3·1) and 5 · 100 · (5·20 + 20·1); the costlier one is counted as the winner."""
    plan = plan_search(recipe(1.0), 100, 5, 1, 4)
    assert [candidate.member_work for candidate in plan.candidates] == [18_000, 60_000]
    assert plan.work == 4 * 60_000 + 2 * 18_000
    assert plan.notes == ()


def test_monotone_members_count_twice(recipe: Callable[[float], Recipe]) -> None:
    """A fit without the promise comes before theirs."""
    free = recipe(1.0)
    network = free.network.model_copy(update={"monotone": {"length": "up"}})
    plan = plan_search(free.model_copy(update={"network": network}), 100, 5, 1, 4)
    assert [candidate.member_work for candidate in plan.candidates] == [36_000, 120_000]


def test_what_the_budget_does_not_allow_is_left_out_and_said(recipe: Callable[[float], Recipe]) -> None:
    """First the last candidates, then epochs of the first one; one epoch is always left."""
    for budget, count, steps in ((100_000, 1, 10), (40_000, 1, 5), (1, 1, 1)):
        plan = plan_search(recipe(budget / UNIT), 100, 5, 1, 4)
        assert [candidate.recipe.fit.steps for candidate in plan.candidates] == [steps] * count
        assert len(plan.notes) == 1
        assert plan.rounds[-1].end == 4
        assert plan.work <= max(budget, 4 * 1_800)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[search]\n[[search.candidates]]\nsteps = 3\n", r"\[ensemble\]"),
        ("[ensemble]\n[search]\n", "candidates is missing"),
        ("[ensemble]\n[search]\ncandidates = []\n", "candidates"),
        ("[ensemble]\n[search]\nbudget = 0\n[[search.candidates]]\nsteps = 3\n", "budget = 0"),
        ("[ensemble]\n[search]\n[[search.candidates]]\nstep = 3\n", r'candidates, entry 1: unknown key "step".*steps'),
        ("[ensemble]\n[search]\n[[search.candidates]]\nsteps = 0\n", "candidates, entry 1: steps = 0"),
    ],
)
def test_mistakes_are_named(write_recipe: Callable[..., Path], text: str, said: str) -> None:
    """With the number of the candidate."""
    path = write_recipe()
    path.write_text(path.read_text() + text)
    with pytest.raises(RecipeError, match=said):
        load_recipe(path)
