"""What a manifest says of the columns is enough for a client to make the features that training made."""

import csv
import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from service.client.command.row_file import read_blocks
from service.client.encoding.rows import features
from service.client.encoding.table_rows import TableRows
from service.client.errors import InvalidInput
from training.data.dataset import prepare
from training.errors import DataError
from training.pipelines.held_out import held_out_csv
from training.publishing.manifest import outline
from training.publishing.message.columns import columns_of_manifest
from training.recipe.config import Recipe, parse_recipe


def table(folder: Path, target: str) -> Recipe:
    """A table with every kind of column, and its recipe."""
    random = np.random.default_rng(0)
    street = random.integers(0, 30, 300)
    frame = pd.DataFrame(
        {
            "age": random.uniform(18, 90, 300),
            "town": random.choice(["Bonn", 'Köln, "x"\nB', "Ulm", "Rom"], 300),
            "street": [f'street, "{code}"\n' for code in street],
            "code": random.integers(100, 160, 300),
            "day": pd.date_range("2023-12-20", periods=300, freq="7h").strftime("%d.%m.%Y %H:%M"),
            "since": pd.date_range("1999-12-20", periods=300, tz="Europe/Berlin").map(str),
            "paid": street + random.normal(size=300),
            "kind": random.choice(["yes", "no"], 300),
            "size": random.choice(["S", "M", "L"], 300),
        }
    ).astype(object)
    frame.loc[::7, ["age", "town", "street", "code", "since"]] = None
    frame.to_csv(folder / "t.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    kind = "regression" if target == "paid" else "classification"
    text = f"""
[model]
name = "m"
[data]
path = "t.csv"
target = "{target}"
columns = ["street", "day", "age", "since", "town", "code"]
missing = "indicator"
unseen = "other"
by_target = ["street", "code"]
[data.categories]
town = ["Bonn", 'Köln, "x"\\nB', "Ulm"]
[data.dates]
day = "%d.%m.%Y %H:%M"
since = "iso"
[task]
kind = "{kind}"
"""
    return parse_recipe(text, folder=folder, name="r.toml")


@pytest.mark.parametrize(("target", "inputs"), [("paid", 12), ("kind", 12), ("size", 14)])
def test_the_file_of_the_held_out_rows_gives_their_features(tmp_path: Path, target: str, inputs: int) -> None:
    """To the bit of float32, through a CSV file; words with commas, quotes and line ends too."""
    recipe = table(tmp_path, target)
    dataset = prepare(recipe)
    manifest = outline(recipe, dataset)
    assert len(manifest.features) == inputs
    (tmp_path / "held.csv").write_text(held_out_csv(dataset), newline="")
    with (tmp_path / "held.csv").open("rb") as file:
        (block,) = read_blocks(file, "held.csv", "csv", [column.name for column in manifest.columns], 1000)
    np.testing.assert_array_equal(features(manifest, block.rows), dataset.x[dataset.test].astype(np.float32))


def test_the_columns_are_read_back(tmp_path: Path) -> None:
    """What is trained further, or tuned, encodes as the version did: statistics included."""
    recipe = table(tmp_path, "size")
    dataset = prepare(recipe)
    read = columns_of_manifest(outline(recipe, dataset))
    assert read == dataset.columns
    assert [column.statistics for column in read] == [column.statistics for column in dataset.columns]
    assert [column.first_day for column in read] == [column.first_day for column in dataset.columns]


def test_an_unknown_word_of_a_column_by_target_gets_the_prior(tmp_path: Path) -> None:
    """It is no mistake, and it is counted; a list is no word."""
    recipe = table(tmp_path, "paid")
    manifest = outline(recipe, prepare(recipe))
    cells: dict[str, list[object]] = {
        "age": [1],
        "day": ["20.12.2023 07:00"],
        "since": ["2000-01-01"],
        "town": ["Ulm"],
        "street": ["a street that nobody knows"],
        "code": ["123"],
    }
    found = features(manifest, TableRows(cells, 1, str))
    assert found[0, 0] == np.float32(manifest.columns[0].statistics.prior[0])
    with pytest.raises(InvalidInput, match=r'"street" holds \[\], wanted a word'):
        features(manifest, TableRows({**cells, "street": [[]]}, 1, str))


def test_days_count_from_the_first_training_row_and_gaps_are_told_once(tmp_path: Path) -> None:
    """Three features with a spline each; one gap input for the column."""
    dataset = prepare(table(tmp_path, "paid"))
    names = [feature.name for feature in dataset.features]
    days = dataset.x[dataset.train, names.index("day: days")]
    assert 0 <= days.min() < 1
    assert days.max() <= 88
    assert set(dataset.x[:, names.index("day: month")]) == {12, 1, 2, 3}
    assert [names[place] for place in dataset.gaps] == ["age", "since: days"]


@pytest.mark.parametrize("cell", ["soon", "2023-12-20", 7, [], "30.02.2024 00:00"])
def test_a_cell_that_is_no_date_is_refused_with_its_row(tmp_path: Path, cell: object) -> None:
    """In training by row and line, by the client by its row; both name the format."""
    recipe = table(tmp_path, "paid")
    manifest = outline(recipe, prepare(recipe))
    good: dict[str, list[object]] = {"age": [1] * 2, "since": [None] * 2, "town": ["Ulm"] * 2, "street": [""] * 2}
    good |= {"code": ["1"] * 2, "day": ["20.12.2023 07:00", cell]}
    with pytest.raises(InvalidInput, match=r'1: column "day" holds .*wanted a date of the format "%d.%m.%Y %H:%M"'):
        features(manifest, TableRows(good, 2, str))
    frame = pd.read_csv(tmp_path / "t.csv").astype(object)
    frame.loc[4, "day"] = str(cell)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        DataError, match=r'"day": row 5 \(line \d+\) holds .*is no date of the format .* or leave it empty'
    ):
        prepare(recipe)


def test_dates_of_python_are_dates(tmp_path: Path) -> None:
    """A DataFrame has them, and a missing one; they need no format."""
    recipe = table(tmp_path, "paid")
    manifest = outline(recipe, prepare(recipe))
    days = [datetime.date(2024, 1, 5), pd.Timestamp("2024-01-05T12:00"), pd.NaT, float("nan"), "05.01.2024 00:00"]
    cells: dict[str, list[object]] = {name: [None] * 5 for name in ("age", "town", "street", "code", "since")}
    found = features(manifest, TableRows({**cells, "day": days}, 5, str))[:, 1:4]
    assert (found[0] == found[4]).all()
    assert found[1, 0] == found[0, 0] + 0.5
    assert np.isnan(found[2:4]).all()
    assert found[0, 1:].tolist() == [1, 5]
