"""The recipe that an estimator chooses for rows is the draft of `kan-train init` for a table of these rows."""

import tomllib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from training.data.table.frame import table_of_frame
from training.draft.draft import draft_recipe
from training.draft.inspection import inspect
from training.estimators.chosen_recipe import Choices, Roles, choose_recipes


def drafted(frame: pd.DataFrame, target: str, folder: Path, **options: Any) -> dict[str, Any]:
    """The sections of the draft, without those that a held-out part is for and without names of files."""
    frame.to_csv(folder / "rows.csv", index=False)
    sections = tomllib.loads(draft_recipe(inspect(folder / "rows.csv", target), folder, **options))
    del sections["baseline"]
    return without_names(sections)


def chosen(
    frame: pd.DataFrame, target: str, task: Literal["classification", "regression"], choices: Choices
) -> dict[str, Any]:
    """The sections of the first recipe of an estimator."""
    roles = Roles(task, tuple(name for name in frame.columns if name != target), (target,))
    return without_names(tomllib.loads(choose_recipes(table_of_frame(frame, "X"), roles, choices, "KAN")[0].text))


def without_names(sections: dict[str, Any]) -> dict[str, Any]:
    """Without the names of model and file."""
    del sections["model"]["name"], sections["data"]["path"]
    return sections


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        ({}, Choices()),
        ({"additive": True}, Choices(is_additive=True)),
        ({"additive": True, "pairs": 3}, Choices({"pairs": 3}, is_additive=True)),
    ],
    ids=["plain", "additive", "pairs"],
)
@pytest.mark.parametrize(("target", "task"), [("paid", "regression"), ("kind", "classification")])
def test_words_gaps_and_dates(
    people: pd.DataFrame, target: str, task: Any, options: dict[str, Any], choices: Choices, tmp_path: Path
) -> None:
    """Each section and key of the draft, the candidates of its search included, and no further one."""
    frame = people.drop(columns="kind" if target == "paid" else "paid")
    assert chosen(frame, target, task, choices) == drafted(frame, target, tmp_path, **options)


def test_rows_with_dates_may_be_dealt_at_random() -> None:
    """A kind of split that the caller names takes no column of the draft."""
    frame = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=200), "x": np.arange(200.0), "y": np.ones(200)})
    frame["y"] += frame["x"] ** 2
    assert chosen(frame, "y", "regression", Choices())["split"]["column"] == "day"
    split = chosen(frame, "y", "regression", Choices(sections={"split": {"kind": "random"}}))["split"]
    assert (split["kind"], split.get("column")) == ("random", None)


@pytest.mark.parametrize(("columns", "choice"), [(2, "in-context"), (9, "by-edge")])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_formula(columns: int, choice: str, task: Any, tmp_path: Path) -> None:
    """`symbolic=True` is `init --formula`: classes and more than eight inputs by edge."""
    x = np.random.default_rng(0).normal(size=(120, columns))
    frame = pd.DataFrame(x, columns=[f"x{place}" for place in range(columns)])
    frame["y"] = x[:, 0] ** 2 if task == "regression" else np.where(x[:, 0] > 0, "above", "below")
    found = chosen(frame, "y", task, Choices(is_symbolic=True))
    assert found == drafted(frame, "y", tmp_path, formula=True)
    in_context = found["symbolic"].get("choice") == "in-context"
    assert in_context == (task == "regression" and choice == "in-context")


def test_a_target_of_very_different_sizes(people: pd.DataFrame, tmp_path: Path) -> None:
    """It is fitted on a log scale either way."""
    frame = people.drop(columns="kind").assign(paid=np.exp(2 * people["paid"]))
    found = chosen(frame, "paid", "regression", Choices())
    assert found["task"]["target_scale"] == "log"
    assert found == drafted(frame, "paid", tmp_path)


def test_few_numbers_with_a_cell_of_text_are_warned_of(people: pd.DataFrame, tmp_path: Path) -> None:
    """They are words, as in the draft, and the warning names the first such cell."""
    cells = ["many" if row == 7 else f"{1 + row % 7}.0" for row in range(len(people))]
    frame = people.drop(columns="kind").assign(rooms=cells)
    with pytest.warns(
        UserWarning, match='KAN: column "rooms" is used as words; mostly numbers, but row 8 holds "many"'
    ):
        found = chosen(frame, "paid", "regression", Choices())
    assert found == drafted(frame, "paid", tmp_path)
