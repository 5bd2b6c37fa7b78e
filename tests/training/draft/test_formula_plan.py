"""A draft for a formula: numbers without gaps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data.dataset import prepare
from training.draft.draft import columns_left_out, draft_recipe
from training.draft.inspection import inspect
from training.recipe.config import Recipe, parse_recipe


def power(rows: int = 60, gaps: int = 0) -> pd.DataFrame:
    """Volts, ohms and watts, with a word and a note beside them; the first rows have no volts."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"volts": random.uniform(1, 12, rows), "ohms": random.uniform(1, 5, rows)})
    table["watts"] = table["volts"] ** 2 / table["ohms"]
    table.loc[: gaps - 1, "volts"] = np.nan
    return table.assign(colour=["red", "blue", ""] * (rows // 3), note=[f"n{row % 25}" for row in range(rows)])


def drafted(folder: Path, table: pd.DataFrame, *, formula: bool = True) -> Recipe:
    """The recipe for watts."""
    table.to_csv(folder / "power.csv", index=False)
    text = draft_recipe(inspect(folder / "power.csv", "watts"), folder, formula=formula)
    return parse_recipe(text, folder=folder, name="power.toml")


def test_a_formula_is_of_numbers_and_of_rows_without_gaps(tmp_path: Path) -> None:
    """No word and no indicator of a gap becomes an input; the recipe says so, and so does the terminal."""
    recipe = drafted(tmp_path, power(gaps=7))
    assert (recipe.data.columns, recipe.data.missing) == (("volts", "ohms"), "drop_rows")
    assert "7 of 60 rows miss an input and are dropped" in recipe.text
    assert '#   "colour": words, and a formula is of numbers' in recipe.text
    dataset = prepare(recipe)
    assert (dataset.input_names, len(dataset.x)) == (("volts", "ohms"), 53)
    told = columns_left_out(inspect(tmp_path / "power.csv", "watts"), formula=True)
    assert [line.split(": ")[1] for line in told] == ['"colour"', '"note"']
    assert drafted(tmp_path, power(gaps=7), formula=False).data.columns == ("volts", "ohms", "colour", "note")


@pytest.mark.parametrize(
    ("gaps", "missing", "comment"),
    [
        (0, "indicator", "no cell is missing"),
        (30, "drop_rows", "30 of 60 rows miss an input and are dropped"),
        (31, "indicator", "a formula wants a table without gaps"),
    ],
)
def test_rows_are_dropped_unless_too_few_would_be_left(tmp_path: Path, gaps: int, missing: str, comment: str) -> None:
    """Without gaps a served row with one is filled in, at no cost to the law."""
    recipe = drafted(tmp_path, power(gaps=gaps))
    assert recipe.data.missing == missing
    assert comment in recipe.text


def test_words_alone_are_better_than_no_input(tmp_path: Path) -> None:
    """Then the draft reads what it would read without a formula."""
    recipe = drafted(tmp_path, power()[["colour", "watts"]])
    assert (recipe.data.columns, recipe.data.missing) == (("colour",), "indicator")
