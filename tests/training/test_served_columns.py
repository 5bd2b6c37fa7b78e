"""From a table as it is to answers: files, a training, a kan-serve, a client by column names.

The model of this file has gaps in a column of numbers and in a column of words; a rare town is pooled. Streets
enter by the target, and there is a date.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from service.client import Client
from tests.kit.server.kan_serve import serving
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.tune import tune
from training.pipelines.watcher import Watcher
from training.publishing.manifest import predict
from training.publishing.version import read_newest
from training.recipe.config import load_recipe

RECIPE = """
[model]
name = "shop"
[data]
path = "shop.csv"
target = "paid"
columns = ["age", "height", "town", "street", "day"]
missing = "indicator"
unseen = "other"
by_target = ["street"]
[data.categories]
town = ["", "Bonn", "Ulm"]
[data.dates]
day = "%d.%m.%Y"
[task]
kind = "regression"
[network]
hidden = [3]
[fit]
grids = [3]
steps = 10
[attribution]
[lowering]
tune_for = []
"""


def shop(rows: int = 300) -> pd.DataFrame:
    """Customers: a missing age means something else than the median age."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.uniform(18, 90, rows),
            "height": random.normal(170, 10, rows),
            "town": random.choice(["Bonn", "Ulm"], rows),
            "street": [f"street {code}" for code in random.integers(0, 30, rows)],
            "day": pd.date_range("2024-01-01", periods=rows).strftime("%d.%m.%Y"),
        }
    ).astype({"town": object})
    frame.loc[::6, "age"] = np.nan
    frame.loc[3::7, "town"] = None
    frame.loc[4::50, "town"] = 'Rom, "Italia"\nx'
    frame["paid"] = frame["age"].fillna(300) / 10 + (frame["town"] == "Ulm") * 5 + random.normal(0, 0.1, rows)
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table, the recipe, and models/shop/1; the tests share it."""
    folder = tmp_path_factory.mktemp("shop")
    shop().to_csv(folder / "shop.csv", index=False)
    (folder / "shop.toml").write_text(RECIPE)
    train(Run(load_recipe(folder / "shop.toml"), folder / "models", RunFolder(folder / "run")), Watcher())
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The address of a kan-serve of the model."""
    with serving(folder / "models", log=folder / "log") as server:
        yield server.grpc


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    """A client of that server."""
    with Client(address, 60) as connected:
        yield connected


@pytest.fixture
def manifest(client: Client) -> ModelManifest:
    """The manifest, as clients get it."""
    return client.manifest("shop")


def test_the_network_is_told_of_a_gap_and_callers_send_the_column_once(manifest: ModelManifest) -> None:
    """The features are the columns; the one with gaps in training is marked, and its gap input has a spline."""
    words = ["town=", "town=Bonn", "town=Ulm", "street by target"]
    names = ["age", "height", *words, "day: days", "day: month", "day: weekday"]
    assert [feature.name for feature in manifest.features] == names
    assert [feature.has_gap_input for feature in manifest.features] == [True, *[False] * 8]
    assert manifest.inputs[0].shape == [-1, 9]
    assert list(manifest.network.width) == [10, 3, 1]
    assert manifest.explanation.edges[0].shape == [-1, 3, 10]


def test_rows_with_gaps_are_answered_as_torch_answers_them(client: Client, folder: Path) -> None:
    """A gap where training had some, and where it had none: imputed in both, and told in the first."""
    rows = [
        {"age": age, "height": height, "town": town, "street": "street 1", "day": "05.02.2024"}
        for age in (40, None)
        for height in (170, "")
        for town in ("Ulm", None)
    ]
    answers = client.predict("shop", rows).values
    manifest = client.manifest("shop")
    statistics = manifest.columns[3].statistics
    street = dict(zip(statistics.words, statistics.values, strict=True))["street 1"]
    raw = [
        [
            np.nan if row["age"] is None else 40,
            np.nan if row["height"] == "" else 170,
            not row["town"],
            0,
            bool(row["town"]),
            street,
            (pd.Timestamp("2024-02-05") - pd.Timestamp(manifest.columns[4].date.first_day)).days,
            2,
            1,
        ]
        for row in rows
    ]
    trained = read_newest(folder / "models" / "shop" / "1", "").trained
    np.testing.assert_allclose(answers, predict(trained, np.array(raw, dtype=np.float64)), rtol=1e-4)
    median = manifest.features[0].imputed
    rest = {"height": 170, "town": "Ulm", "street": "", "day": "05.02.2024"}
    known, unknown = client.predict("shop", [{"age": age, **rest} for age in (median, None)]).values
    assert unknown > known + 5


def test_the_held_out_rows_are_answered_from_their_file(client: Client, folder: Path) -> None:
    """held_out.csv, with its gaps, scores over the server as in the manifest."""
    frame = pd.read_csv(folder / "run" / "held_out.csv").astype(object)
    assert frame.isna().to_numpy().any()
    answers = client.predict("shop", frame.where(frame.notna(), None)).values[:, 0]
    rmse = np.sqrt(np.mean((answers - frame["paid"].astype(float)) ** 2))
    assert rmse == pytest.approx(client.manifest("shop").metrics["test_rmse"], rel=1e-4)


def test_words_that_training_never_saw_are_answered_and_counted(client: Client, folder: Path, address: str) -> None:
    """By the client in Python, and by kan-client from a file with commas and line ends in its words."""
    rows = [
        {"age": 40, "height": 170, "town": town, "street": "street 1", "day": "05.02.2024"}
        for town in ("Ulm", 'Rom, "Italia"\nx', "Atlantis", "Ulm")
    ]
    found = client.predict("shop", rows)
    assert (found.other_cells, client.predict("shop", rows[:1]).other_cells) == (2, 0)
    assert found.values[1] == found.values[2] != found.values[0]
    assert [block.other_cells for block in client.predict_stream("shop", [rows[:1], rows[1:]])] == [0, 2]
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    command = [sys.executable, "-m", "service.client.cli", "predict", "shop", str(folder / "rows.csv")]
    done = subprocess.run([*command, "--address", address], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert [float(line) for line in done.stdout.splitlines()[1:]] == pytest.approx(found.values[:, 0].tolist())
    assert "2 cells of 1 column hold words that the model does not know" in done.stderr


def test_tuned_and_continued_versions_have_the_gap_inputs_too(folder: Path, tmp_path: Path) -> None:
    """Both read them from the version's network: new rows without any gap change nothing of that."""
    models = tmp_path / "models"
    shutil.copytree(folder / "models", models)
    tuned = tune(models / "shop" / "1", [1])
    assert list(tuned.manifest.network.width) == [10, 3, 1]
    shop().dropna().to_csv(tmp_path / "shop.csv", index=False)
    text = RECIPE.replace("[network]\nhidden = [3]\n", "").replace("grids = [3]\n", "").replace("[attribution]\n", "")
    recipe = text.replace('name = "shop"', 'name = "shop"\ncontinue_from = "models/shop/2"')
    (tmp_path / "more.toml").write_text(recipe)
    continued = train(Run(load_recipe(tmp_path / "more.toml"), models, RunFolder(tmp_path / "run")), Watcher())
    assert continued.manifest.features[0].has_gap_input
    assert list(continued.manifest.network.width) == [10, 3, 1]
    assert continued.manifest.inputs[0].shape == [-1, 9]
