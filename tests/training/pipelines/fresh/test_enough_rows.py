"""Too few rows for [intervals] are refused before the first step, and each change that the message names helps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.watcher import Quiet
from training.data.dataset import prepare
from training.intervals.calibrate import IntervalsFailed
from training.pipelines.fresh.enough_rows import check_rows, most_apart
from training.pipelines.fresh.fit import new_fit
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.recipe.config import Recipe, load_recipe

SEARCH = "[search]\n[[search.candidates]]\nsteps = 2\n[[search.candidates]]\nsteps = 3\n"


@pytest.fixture
def recipe_of(write_recipe: Callable[..., Path]) -> Callable[..., Recipe]:
    """A recipe on 200 rows, of which 160 may train."""

    def of(coverage: float, more: str = "", members: int = 4) -> Recipe:
        path = write_recipe(steps=3)
        path.write_text(
            f"{path.read_text()}[ensemble]\nmembers = {members}\n[intervals]\ncoverage = {coverage}\n{more}"
        )
        return load_recipe(path)

    return of


def refusal(recipe: Recipe) -> str:
    """What is said."""
    with pytest.raises(IntervalsFailed) as caught:
        check_rows(recipe, prepare(recipe))
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


def test_no_step_is_taken_for_nothing(recipe_of: Callable[..., Recipe], tmp_path: Path) -> None:
    """The run ends before its first step; nothing is published."""
    watcher = Quiet()
    with pytest.raises(
        IntervalsFailed, match=r"needs at least 199 rows that neither .* 160 of 160 rows that may train"
    ):
        train(Run(recipe_of(0.995), tmp_path / "models", RunFolder(tmp_path / "run")), watcher)
    assert watcher.steps == 0
    assert not (tmp_path / "models" / "flowers").exists()


def test_more_rows_or_a_smaller_coverage_help_where_all_rows_are_apart(recipe_of: Callable[..., Recipe]) -> None:
    """Not more members: each row has one that never saw it already."""
    told = refusal(recipe_of(0.995))
    assert told.endswith("wanted at least 199 rows that may train, or a coverage of at most 0.993")
    check_rows(recipe := recipe_of(0.993), prepare(recipe))


def test_two_members_with_a_search_leave_no_row(recipe_of: Callable[..., Recipe]) -> None:
    """More rows and a smaller coverage change nothing; more members do, and a fit without a search."""
    told = refusal(recipe_of(0.5, SEARCH, members=2))
    assert "0 of 160 rows that may train can be such; wanted members = 3 in [ensemble], or no [search]" in told
    assert told.endswith("no [search]")
    check_rows(recipe := recipe_of(0.5, SEARCH, members=3), prepare(recipe))
    check_rows(recipe := recipe_of(0.5, members=2), prepare(recipe))


def test_each_of_several_changes_helps(recipe_of: Callable[..., Recipe]) -> None:
    """With a search 80 of 160 rows are apart: 99 need 6 members, twice as many rows, or no search."""
    told = refusal(recipe_of(0.99, SEARCH))
    assert told.endswith(
        "members = 6 in [ensemble], or no [search], or at least 198 rows that may train, or a coverage of at most 0.987"
    )
    check_rows(recipe := recipe_of(0.99, SEARCH, members=6), prepare(recipe))
    assert "96 of 160" in refusal(recipe_of(0.99, SEARCH, members=5))
    check_rows(recipe := recipe_of(0.987, SEARCH), prepare(recipe))
    check_rows(recipe := recipe_of(0.99), prepare(recipe))


@pytest.mark.parametrize(("more", "members"), [("", 2), ("", 4), (SEARCH, 2), (SEARCH, 3), (SEARCH, 4), (SEARCH, 9)])
def test_the_number_is_that_of_the_fit(more: str, members: int, recipe_of: Callable[..., Recipe]) -> None:
    """A fit that ended gives as many rows as were counted before it."""
    recipe = recipe_of(0.1, more, members)
    dataset = prepare(recipe)
    most = most_apart(recipe, dataset)
    if most == 0:
        assert "0 of 160" in refusal(recipe)
        return
    way, _ = new_fit(recipe, dataset)
    state = way.begin()
    for each in way.steps(state):
        state = each
    rows = way.apart(state)
    assert rows is not None
    assert len(rows.numbers) == most
