"""The reference row is a typical row: medians, most frequent words, one date."""

import csv
import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kan_api.v1 import manifest_pb2 as pb
from training.data.dataset import Dataset, prepare
from training.explaining import median_of_columns, reference_of_manifest, reference_of_table
from training.publishing.manifest import outline
from training.recipe.config import parse_recipe

RECIPE = """
[model]
name = "m"
[data]
path = "t.csv"
target = "paid"
columns = ["age", "town", "street", "day", "rooms"]
missing = "median"
unseen = "other"
by_target = ["street"]
[data.categories]
town = ["Bonn", "Ulm"]
[data.dates]
day = "iso"
[task]
kind = "regression"
"""


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Each kind of column, with gaps; Ulm and street 3 are the most frequent words."""
    random = np.random.default_rng(0)
    count = 400
    frame = pd.DataFrame(
        {
            "age": random.gamma(2, 20, count),
            "town": random.choice(["Bonn", "Ulm", "Rom"], count, p=[0.2, 0.5, 0.3]),
            "street": [f"street {min(code, 3)}" for code in random.integers(0, 9, count)],
            "day": pd.date_range("2023-12-20", periods=count, freq="7h").strftime("%Y-%m-%d"),
            "rooms": random.integers(1, 6, count),
            "paid": random.normal(size=count),
        }
    ).astype(object)
    frame.loc[::7, ["age", "town", "day"]] = None
    frame.to_csv(tmp_path / "t.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    return frame


@pytest.fixture
def dataset(table: pd.DataFrame, tmp_path: Path) -> Dataset:
    """The table prepared for training."""
    assert len(table)
    return prepare(parse_recipe(RECIPE, folder=tmp_path, name="r.toml"))


def typical(dataset: Dataset, table: pd.DataFrame) -> dict[str, list[float]]:
    """By pandas, of the training rows."""
    rows = table.iloc[dataset.train]
    moments = sorted(datetime.date.fromisoformat(day) for day in rows["day"].dropna())
    day = moments[(len(moments) - 1) // 2]
    column = next(column for column in dataset.columns if column.name == "day")
    assert column.first_day is not None
    street = next(column for column in dataset.columns if column.name == "street").statistics
    assert street is not None
    return {
        "age": [float(rows["age"].dropna().astype(float).median())],
        "town": [0, 1],
        "street": list(street.values[street.words.index("street 3")]),
        "day": [(day - column.first_day).days, day.month, day.isoweekday()],
        "rooms": [float(rows["rooms"].astype(float).median())],
    }


def test_of_a_table(dataset: Dataset, table: pd.DataFrame) -> None:
    """Medians without missing cells; the one-hot or the numbers of the most frequent word; one date."""
    reference = reference_of_table(dataset)
    wanted = typical(dataset, table)
    assert reference.columns == tuple(wanted)
    assert not reference.from_histograms
    for place, (name, values) in enumerate(wanted.items()):
        own = reference.values[np.equal(reference.column_of, place)]
        np.testing.assert_allclose(own, values, rtol=1e-6, err_msg=name)


def test_a_column_without_values_is_what_fills_its_gaps(table: pd.DataFrame, tmp_path: Path) -> None:
    """No training row has a date or an age, but other rows have: the reference has the imputed values, no NaN."""
    recipe = parse_recipe(RECIPE, folder=tmp_path, name="r.toml")
    train = prepare(recipe).train
    table.loc[train, ["age", "day"]] = None
    table.to_csv(tmp_path / "t.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    dataset = prepare(recipe)
    assert dataset.train.tolist() == train.tolist()
    reference = reference_of_table(dataset)
    for name in ("age", "day"):
        own = np.equal(reference.column_of, reference.columns.index(name))
        imputed = [dataset.imputed[place] for place in np.flatnonzero(own)]
        assert reference.values[own].tolist() == imputed
    assert np.isfinite(reference.values).all()


def test_of_a_manifest(dataset: Dataset, table: pd.DataFrame, tmp_path: Path) -> None:
    """The same from histograms, to half a cell; medians that fill gaps are exact, and the date is a date."""
    manifest = outline(parse_recipe(RECIPE, folder=tmp_path, name="r.toml"), dataset)
    reference = reference_of_manifest(manifest)
    assert reference.from_histograms
    wanted = typical(dataset, table)
    found = dict(zip((feature.name for feature in manifest.features), reference.values.tolist(), strict=True))
    assert found["age"] == pytest.approx(wanted["age"][0], rel=1e-6)
    assert [found["town=Bonn"], found["town=Ulm"]] == [0, 1]
    assert found["rooms"] == pytest.approx(wanted["rooms"][0], abs=0.5)
    column = next(column for column in manifest.columns if column.name == "day")
    day = datetime.date.fromisoformat(column.date.first_day) + datetime.timedelta(days=found["day: days"])
    assert (found["day: month"], found["day: weekday"]) == (day.month, day.isoweekday())
    assert found["day: days"] == pytest.approx(wanted["day"][0], abs=1)


def test_a_version_keeps_its_reference_row(dataset: Dataset, tmp_path: Path) -> None:
    """What the table gave is not replaced by what histograms give."""
    manifest = outline(parse_recipe(RECIPE, folder=tmp_path, name="r.toml"), dataset)
    own = reference_of_table(dataset).values + 1
    manifest.attribution_graph.CopyFrom(pb.AttributionGraph(reference=own))
    reference = reference_of_manifest(manifest)
    np.testing.assert_array_equal(reference.values, own)
    assert not reference.from_histograms


def test_without_a_histogram_it_is_the_middle() -> None:
    """An imported network without its table; a constant feature is its value."""
    manifest = pb.ModelManifest(
        features=[
            pb.Feature(name="a", low=-1, high=3),
            pb.Feature(name="b", low=2, high=2, constant=True),
            pb.Feature(name="c", low=0, high=1, histogram=pb.Histogram(edges=[0, 1], counts=[7])),
        ]
    )
    reference = reference_of_manifest(manifest)
    assert reference.values.tolist() == [1, 2, 0.5]
    assert (reference.columns, reference.column_of) == (("a", "b", "c"), (0, 1, 2))


def test_of_rows_of_numbers() -> None:
    """Each column is a feature."""
    reference = median_of_columns(["a", "b"], np.array([[1.0, 5], [2, 6], [9, 7]]))
    assert reference.values.tolist() == [2, 6]
