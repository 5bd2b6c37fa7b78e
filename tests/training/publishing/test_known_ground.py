"""What training writes into a manifest makes its own rows known ground, and only such rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kan_api.ground import KnownGround
from kan_api.v1.manifest_pb2 import ModelManifest
from service.client.encoding.rows import features, rows_of
from training.data.dataset import Dataset, prepare
from training.publishing.manifest import outline
from training.recipe.config import load_recipe

RECIPE = """
[model]
name = "flats"
{model}
[data]
path = "flats.csv"
target = "rent"
columns = ["area", "heating", "town", "day", "floors"]
missing = "median"
by_target = ["town"]
{data}
[data.categories]
heating = ["gas", "oil", "wood"]
[data.dates]
day = "iso"
[task]
kind = "regression"
"""


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """300 flats of a hundred days: none of 60 to 70 m², none that burns wood, all of 4 floors, in twelve towns."""
    random = np.random.default_rng(4)
    area = np.concatenate([random.uniform(20, 60, 200), random.uniform(70, 120, 100)])
    days = pd.to_datetime("2023-01-01") + pd.to_timedelta(random.permutation(np.arange(300) % 100 * 1.0), unit="D")
    flats = pd.DataFrame(
        {
            "area": area,
            "heating": random.choice(["gas", "oil"], 300),
            "town": random.choice([f"town{number}" for number in range(12)], 300),
            "day": days.strftime("%Y-%m-%d"),
            "floors": 4,
        }
    )
    flats["rent"] = 10 * area + random.normal(0, 20, 300) + flats["town"].str[4:].astype(int) * 30
    flats.loc[::7, "area"] = np.nan
    flats.to_csv(tmp_path / "flats.csv", index=False)
    return flats


def _prepare(folder: Path, model: str = "", data: str = "") -> tuple[ModelManifest, Dataset]:
    path = folder / "flats.toml"
    path.write_text(RECIPE.format(model=model, data=data))
    recipe = load_recipe(path)
    dataset = prepare(recipe)
    return outline(recipe, dataset), dataset


def _unknown(manifest: ModelManifest, table: pd.DataFrame) -> list[list[bool]]:
    """Of rows that a client encodes."""
    known = KnownGround.of(manifest)
    assert known is not None
    rows = features(manifest, rows_of(table.to_dict("records"), list(known.columns)))
    flags: list[list[bool]] = known.unknown(rows).tolist()
    return flags


@pytest.mark.parametrize("data", ["", 'unseen = "other"'])
def test_training_rows_are_known(tmp_path: Path, table: pd.DataFrame, data: str) -> None:
    """As a client sends them: gaps, words, words as target statistics (out of fold in training), dates, a constant."""
    manifest, dataset = _prepare(tmp_path, data=data)
    assert not np.any(_unknown(manifest, table.iloc[dataset.train]))
    known = KnownGround.of(manifest)
    assert known is not None
    assert not known.unknown(dataset.x[dataset.train].astype(np.float32)).any()


def test_other_rows_are_unknown_by_column(tmp_path: Path, table: pd.DataFrame) -> None:
    """Outside, in the gap, a word that training never had, a day after the last, another constant."""
    manifest, dataset = _prepare(tmp_path)
    row = dict(table.iloc[dataset.train[0]])
    changes: list[tuple[str, object]] = [
        ("area", 500.0),
        ("area", 65.0),
        ("heating", "wood"),
        ("day", "2024-01-01"),
        ("floors", 5),
    ]
    strange = pd.DataFrame([row | {name: value} for name, value in changes])
    columns = ["area", "heating", "town", "day", "floors"]
    wanted = [[column == name for column in columns] for name, _ in changes]
    assert _unknown(manifest, strange) == wanted


def test_other_words_are_known_where_training_masked_some(tmp_path: Path, table: pd.DataFrame) -> None:
    """With `unseen = "other"` training had rows without a word."""
    manifest, dataset = _prepare(tmp_path, data='unseen = "other"')
    strange = pd.DataFrame([dict(table.iloc[dataset.train[0]]) | {"heating": "sun"}])
    assert not np.any(_unknown(manifest, strange))


@pytest.mark.parametrize("policy", ["", "answer", "flag", "refuse"])
def test_the_policy_is_the_recipes(tmp_path: Path, table: pd.DataFrame, policy: str) -> None:
    """Left out, the manifest leaves it open, which means "answer"."""
    model = f'unknown_ground = "{policy}"' if policy else ""
    assert _prepare(tmp_path, model)[0].unknown_ground == policy
