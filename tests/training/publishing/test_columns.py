"""What a manifest says of the columns is enough for a client to make the features that training made."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from service.client.command.row_file import read_blocks
from service.client.errors import InvalidInput
from service.client.rows import TableRows, features
from training.data.dataset import held_out_table, prepare
from training.publishing.columns import columns_of_manifest
from training.publishing.manifest import outline
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
            "paid": street + random.normal(size=300),
            "kind": random.choice(["yes", "no"], 300),
            "size": random.choice(["S", "M", "L"], 300),
        }
    ).astype(object)
    frame.loc[::7, ["age", "town", "street", "code"]] = None
    frame.to_csv(folder / "t.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    kind = "regression" if target == "paid" else "classification"
    text = f"""
[model]
name = "m"
[data]
path = "t.csv"
target = "{target}"
columns = ["street", "age", "town", "code"]
missing = "indicator"
unseen = "other"
by_target = ["street", "code"]
[data.categories]
town = ["Bonn", 'Köln, "x"\\nB', "Ulm"]
[task]
kind = "{kind}"
"""
    return parse_recipe(text, folder=folder, name="r.toml")


@pytest.mark.parametrize(("target", "inputs"), [("paid", 6), ("kind", 6), ("size", 8)])
def test_the_file_of_the_held_out_rows_gives_their_features(tmp_path: Path, target: str, inputs: int) -> None:
    """To the bit of float32, through a CSV file; words with commas, quotes and line ends too."""
    recipe = table(tmp_path, target)
    dataset = prepare(recipe)
    manifest = outline(recipe, dataset)
    assert len(manifest.features) == inputs
    held_out_table(dataset).to_csv(tmp_path / "held.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    with (tmp_path / "held.csv").open("rb") as file:
        (block,) = read_blocks(file, "held.csv", "csv", [column.name for column in manifest.columns], 1000)
    np.testing.assert_array_equal(features(manifest, block), dataset.x[dataset.test].astype(np.float32))


def test_the_columns_are_read_back(tmp_path: Path) -> None:
    """What is trained further, or tuned, encodes as the version did: statistics included."""
    recipe = table(tmp_path, "size")
    dataset = prepare(recipe)
    read = columns_of_manifest(outline(recipe, dataset))
    assert read == dataset.columns
    assert [column.statistics for column in read] == [column.statistics for column in dataset.columns]


def test_an_unknown_word_of_a_column_by_target_gets_the_prior(tmp_path: Path) -> None:
    """It is no mistake, and it is counted; a list is no word."""
    recipe = table(tmp_path, "paid")
    manifest = outline(recipe, prepare(recipe))
    cells: dict[str, list[object]] = {
        "age": [1],
        "town": ["Ulm"],
        "street": ["a street that nobody knows"],
        "code": ["123"],
    }
    found = features(manifest, TableRows(cells, 1, str))
    assert found[0, 0] == np.float32(manifest.columns[0].statistics.prior[0])
    with pytest.raises(InvalidInput, match=r'"street" holds \[\], wanted a word'):
        features(manifest, TableRows({**cells, "street": [[]]}, 1, str))
