"""Whether enough rows will be left for the bounds of [intervals]; known before the first step of the fit."""

import math

import numpy as np

from training.calibration.ranks import fewest_rows
from training.data.dataset import Dataset
from training.ensemble.plan import deal_rows, most_members
from training.intervals.calibrate import IntervalsFailed, describe_need
from training.recipe.config import Recipe
from training.recipe.fit_sections import MOST_MEMBERS
from training.search.candidates import plan_search

_DIGITS = 3


def check_rows(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse a coverage whose rank will have too few rows, with the changes that help.

    Args:
        recipe: With or without [intervals].
        dataset: The table.

    Raises:
        IntervalsFailed: too few rows.
    """
    if recipe.intervals is None:
        return
    coverage = recipe.intervals.coverage
    rows, most = len(dataset.train) + len(dataset.validation), most_apart(recipe, dataset)
    if most < fewest_rows(coverage):
        raise IntervalsFailed(
            f"{describe_need(coverage)}; {most} of {rows} rows that may train can be such; "
            f"wanted {_remedies(recipe, dataset, most, rows)}"
        )


def most_apart(recipe: Recipe, dataset: Dataset) -> int:
    """The largest number of rows that can neither train nor choose the members that answer them.

    Rows of the folds on which several candidates of [search] compete choose. A member that is fitted alone afterwards
    has no other fold that could choose its step.
    """
    numbers, members, first = np.concatenate([dataset.train, dataset.validation]), most_members(recipe, dataset), 0
    if recipe.search is not None:
        plan = plan_search(recipe, len(numbers), dataset.x.shape[1], dataset.y.shape[1], members)
        first = plan.rounds[-1].first
    if members - first < 2:
        return 0
    return int((deal_rows(recipe, dataset, numbers, members) >= first).sum())


def _remedies(recipe: Recipe, dataset: Dataset, most: int, rows: int) -> str:
    """Changes that help, each alone."""
    assert recipe.intervals is not None
    wanted = fewest_rows(recipe.intervals.coverage)
    found = []
    if most < rows and recipe.search is not None:
        if (members := _members_for(recipe, dataset, wanted)) is not None:
            found.append(f"members = {members} in [ensemble]")
        found.append("no [search]" if rows >= wanted else f"no [search] and {_more(wanted, rows, rows)}")
    if most > 0:
        found.append(_more(wanted, most, rows))
    return ", or ".join(found) or f"at least {wanted} rows that may train"


def _more(wanted: int, most: int, rows: int) -> str:
    """More rows of which the same share is apart, or the coverage that so few rows allow."""
    coverage = math.floor(most / (most + 1) * 10**_DIGITS) / 10**_DIGITS
    return f"at least {math.ceil(wanted * rows / most)} rows that may train, or a coverage of at most {coverage:g}"


def _members_for(recipe: Recipe, dataset: Dataset, wanted: int) -> int | None:
    """The fewest members with which a search leaves the wanted rows; None: no number of members does."""
    assert recipe.ensemble is not None
    for members in range(recipe.ensemble.members + 1, MOST_MEMBERS + 1):
        several = recipe.model_copy(update={"ensemble": recipe.ensemble.model_copy(update={"members": members})})
        if most_apart(several, dataset) >= wanted:
            return members
    return None
