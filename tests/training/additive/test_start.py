"""The network before an additive fit: how many intervals, and which lines share a penalty."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.additive.start import column_names, columns_of_numbers, groups_of, start_network
from training.data.dataset import Dataset, prepare
from training.data.preparation import input_transform
from training.recipe.config import Recipe, parse_recipe


def _prepared(folder: Path, rows: int, columns: int, fit: str = "") -> tuple[Recipe, Dataset]:
    generator = np.random.default_rng(0)
    names = [f"x{place}" for place in range(columns)]
    table = pd.DataFrame(generator.normal(size=(rows, columns)), columns=names)
    table["town"] = generator.choice(["Ulm", "Bonn"], rows)
    table["paid"] = generator.choice([0, 1], rows)
    table["y"] = generator.normal(size=rows)
    table.loc[:4, "x0"] = np.nan
    table.to_csv(folder / "t.csv", index=False)
    text = (
        f'[model]\nname = "m"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = {[*names, "town", "paid"]}\n'
        'missing = "indicator"\n[data.categories]\ntown = ["Ulm", "Bonn"]\n[task]\nkind = "regression"\n'
        f"[network]\nadditive = true\n{fit}"
    )
    recipe = parse_recipe(text, folder=folder, name="recipe")
    return recipe, prepare(recipe)


@pytest.mark.parametrize(
    ("rows", "columns", "fit", "intervals"),
    [
        (1000, 3, "", 30),
        (100, 4, "", 17),  # 80 rows train: 20 coefficients for each curve
        (40, 20, "", 4),
        (1000, 3, "[fit]\ngrids = [7]\n", 7),
    ],
)
def test_curves_have_intervals_as_rows_and_columns_allow(
    tmp_path: Path, rows: int, columns: int, fit: str, intervals: int
) -> None:
    """30; with few rows or many columns as many coefficients as rows that train; what the recipe says goes first."""
    recipe, dataset = _prepared(tmp_path, rows, columns, fit)
    network = start_network(recipe, dataset, input_transform(dataset, "minmax"))
    assert network.layers[0].grid_size == intervals
    assert len(network.layers) == 1


def test_words_of_a_column_share_a_penalty(tmp_path: Path) -> None:
    """Two columns of numbers and one of 0 and 1 are another group, inputs that tell of gaps a third."""
    _, dataset = _prepared(tmp_path, 60, 2)
    x0, x1, ulm, bonn, paid, gap = groups_of(dataset)
    assert ulm == bonn
    assert x0 == x1 == paid
    assert len({ulm, paid, gap}) == 3


def test_pairs_know_numbers_words_and_dates_by_their_columns(tmp_path: Path) -> None:
    """Words are one column, a date several of one column; gaps and numbers for each class are in no pair."""
    days = pd.date_range("2026-01-01", periods=60).strftime("%Y-%m-%d")
    table = pd.DataFrame({"x": np.arange(60.0), "day": days, "town": ["Ulm", "Bonn"] * 30})
    table["street"] = np.arange(60) % 7
    table["street"] = "street " + table["street"].astype(str)
    table["y"] = ["a", "b", "c"] * 20
    table.loc[:4, "x"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    text = (
        '[model]\nname = "m"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = ["x", "day", "town", "street"]\n'
        'missing = "indicator"\nby_target = ["street"]\n[data.dates]\nday = "iso"\n[data.categories]\n'
        'town = ["Ulm", "Bonn"]\n[task]\nkind = "classification"\n[network]\nadditive = true\n'
    )
    dataset = prepare(parse_recipe(text, folder=tmp_path, name="recipe"))
    names = column_names(dataset)
    assert names[0] == "x"
    assert names[4:6] == ["town", "town"]
    assert set(names[6:]) == {None}
    columns = columns_of_numbers(dataset)
    assert [columns[str(name)] for name in names[:4]] == ["x", "day", "day", "day"]
