"""Monotone columns from the recipe to a server: what is published keeps the promise, and says so."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.network import checkpoint
from kan_model.network.transform import Affine
from kan_model.onnx_runtime import open_session
from service.client import Client
from service.client.command.description import model_lines
from tests.kit.server.kan_serve import serving
from tests.kit.watcher import Quiet
from training.errors import DataError, TrainingError
from training.pipelines.fresh.formula_again import find_formula
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError, RunFolder
from training.pipelines.train import train
from training.publishing.publish import Published
from training.recipe.config import load_recipe

RECIPE = """
[model]
name = "{name}"
{model}
[data]
path = "{path}"
target = "{target}"
columns = ["age", "price", "rooms", "town"]
missing = "indicator"
[data.categories]
town = ["Bonn", "Ulm"]
[task]
kind = "{kind}"
{task}
{sections}
[lowering]
tune_for = []
"""
MONOTONE = 'monotone = { age = "up", price = "down" }'
ENSEMBLE = f"""
[network]
hidden = [6]
{MONOTONE}
[fit]
grids = [3, 5]
steps = 30
[adapt]
[ensemble]
members = 3
hidden_grid = 3
refit = true
"""
DEEP = f"""
[network]
hidden = [6, 4]
{MONOTONE}
[inputs]
scaling = "standard"
[fit]
optimizer = "lbfgs"
grids = [3, 5]
steps = 30
[adapt]
[prune]
edge_threshold = 0.05
"""
ON = """
[fit]
optimizer = "lbfgs"
steps = 20
"""


def table(seed: int, rows: int = 400) -> pd.DataFrame:
    """Homes whose worth waves with age and price, which the promise does not allow, with gaps in both."""
    random = np.random.default_rng(seed)
    homes = pd.DataFrame(
        {
            "age": random.uniform(0, 100, rows),
            "price": random.lognormal(3, 1, rows),
            "rooms": random.integers(1, 8, rows).astype(float),
            "town": random.choice(["Bonn", "Ulm"], rows),
        }
    )
    homes["worth"] = (
        100
        + 20 * np.sin(homes["age"] / 12)
        + homes["age"] / 4
        - 8 * np.log(homes["price"])
        + 5 * np.sin(homes["rooms"]) * (homes["town"] == "Ulm")
        + random.normal(0, 2, rows)
    )
    homes["sold"] = np.where(homes["worth"] > homes["worth"].median(), "yes", "no")
    for column in ("age", "price"):
        homes.loc[random.choice(rows, 30, replace=False), column] = np.nan
    return homes


def run(folder: Path, name: str, **changes: str) -> Published:
    """Write the recipe and train by it."""
    keys = {"path": "homes.csv", "target": "worth", "kind": "regression", "task": "", "sections": ENSEMBLE, "model": ""}
    file = folder / f"{name}.toml"
    file.write_text(RECIPE.format(name=name, **(keys | changes)))
    return train(Run(load_recipe(file), folder / "models", RunFolder(folder / "runs" / name)), Quiet())


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """An ensemble of numbers on a log scale, a deep network of two classes, and one that learned on."""
    folder = tmp_path_factory.mktemp("homes")
    table(0).to_csv(folder / "homes.csv", index=False)
    later = table(1, 200)
    later["worth"] = later["worth"] - later["age"]
    later[later["age"] > 30].to_csv(folder / "later.csv", index=False)
    classes = {"target": "sold", "kind": "classification", "sections": DEEP}
    run(folder, "learned", sections=ENSEMBLE)
    return {
        "worth": run(folder, "worth", task='target_scale = "log"'),
        "sold": run(folder, "sold", **classes),
        "learned": run(folder, "learned", path="later.csv", sections=ON, model='continue_from = "models/learned/1"'),
    }


@pytest.fixture(scope="module")
def client(published: dict[str, Published]) -> Iterator[Client]:
    """A client of a kan-serve of all of them."""
    models = published["worth"].folder.parents[1]
    with serving(models, log=models.parent / "log") as server, Client(server.grpc, 60) as connected:
        yield connected


def _around(low: float, high: float) -> tuple[float, float]:
    """Three times the range around its middle, to which the bound is promised."""
    return 2 * low - high, 2 * high - low


def pairs(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows ``[count, 5]`` of features, in and beyond the training ranges, and the same rows moved as promised."""
    random = np.random.default_rng(seed)
    reach = random.choice([1, 1, 3], (count, 1))
    lower = np.hstack(
        [
            random.uniform(-50, 150, (count, 1)) * reach,
            random.normal(30, 60, (count, 1)) * reach,
            random.uniform(*_around(1, 7), (count, 1)),
            np.eye(2)[random.integers(0, 2, count)],
        ]
    )
    upper = lower.copy()
    moves = 10 ** random.uniform(-3, 2.5, (count, 2)) * (random.random((count, 2)) < 0.7)
    upper[:, 0] += moves[:, 0]
    upper[:, 1] -= moves[:, 1]
    # A gap in one column, in both rows: the other column is promised as ever.
    gaps = random.random(count)
    for each in (lower, upper):
        each[gaps < 0.1, 0] = each[gaps > 0.9, 1] = np.nan
    return lower.astype(np.float32), upper.astype(np.float32)


def is_within(manifest: ModelManifest, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each row lies within the training ranges; a gap does."""
    low, high = (np.array([getattr(each, end) for each in manifest.features], np.float32) for end in ("low", "high"))
    outside: NDArray[np.int64] = np.sum((rows < low) | (rows > high), axis=1)
    within: NDArray[np.bool_] = outside == 0
    return within


@pytest.mark.parametrize("name", ["worth", "sold", "learned"])
def test_the_served_graph_keeps_the_promise(client: Client, published: dict[str, Published], name: str) -> None:
    """Of 40,000 pairs none is out of order by more than twice the tolerance, of the output's range or its own size.

    The rows are within three times the training ranges of the free columns. Where both rows of a pair lie within the
    training ranges, the bound is twice the tolerance of the output's range alone, of a log target that of logarithms.
    """
    manifest = published[name].manifest
    lowering = manifest.lowering
    assert lowering.tolerance == 1e-5
    column, moved = 1 if name == "sold" else 0, pairs(40_000, 0)
    before, after = (
        np.concatenate([client.predict(name, part).values[:, column] for part in np.array_split(rows, 10)])
        for rows in moved
    )
    # Beyond the domain errors are relative to the answer, where that is larger than the range.
    scale = np.maximum(lowering.output_scale[column], np.abs(before))
    assert float(((before - after) / scale).max()) <= 2 * lowering.tolerance
    assert np.ptp(before) > 0.1 * lowering.output_scale[column]
    within = is_within(manifest, moved[0]) & is_within(manifest, moved[1])
    assert within.sum() > 500
    falls = np.log(before[within] / after[within]) if name == "worth" else (before - after)[within]
    assert float(falls.max()) <= 2 * lowering.tolerance * lowering.output_scale[column]


def test_free_columns_far_outside_cost_digits(published: dict[str, Published]) -> None:
    """Pairs are out of order by twice the tolerance of the terms at most, which grow with a free column."""
    version = published["learned"].folder.parent / "1"
    content = (version / "network.safetensors").read_bytes()
    kan, (inputs, outputs) = checkpoint.from_bytes(content).double(), checkpoint.transforms(content)
    assert inputs is not None
    assert isinstance(outputs, Affine)
    scale, tolerance = float(published["learned"].manifest.lowering.output_scale[0]), 1e-5
    session = open_session(onnx.load(version / "model.onnx"))
    falls = []
    for reach in (1.0, 1e2, 1e4, 1e6, 1e8):
        lower, upper = pairs(40_000, 1)
        lower[:, 2] = upper[:, 2] = 4 + 9 * reach * np.random.default_rng(2).uniform(-1, 1, len(lower))
        before, after = (session.run(rows)[0][:, 0].astype(np.float64) for rows in (lower, upper))
        with torch.no_grad():
            hidden = kan.layers[0](inputs(torch.from_numpy(lower).double()))
            terms = kan.layers[1].edge_outputs(hidden)[:, 0].abs().sum(dim=1).numpy() * float(outputs.scale[0])
        assert float(((before - after) / np.maximum(scale, terms)).max()) <= 2 * tolerance
        falls.append(float((before - after).max()) / scale)
    assert falls[0] <= 2 * tolerance
    # Why the promise is not told in shares of the range alone.
    assert max(falls) > 100 * tolerance


@pytest.mark.parametrize("name", ["worth", "sold", "learned"])
def test_the_promise_is_told(published: dict[str, Published], name: str) -> None:
    """In the manifest, by describe and in the report; nothing of the other columns."""
    manifest = published[name].manifest
    assert [each.monotone for each in manifest.features] == ["up", "down", "", "", ""]
    subject = 'the probability of "yes"' if name == "sold" else "the answer"
    told = [line for line in model_lines(manifest) if line.startswith("promised")]
    assert [line.split(maxsplit=1)[1] for line in told] == [
        f'"age": {subject} never falls as it grows, and all else stays\n',
        f'"price": {subject} never rises as it grows, and all else stays\n',
    ]
    page = (published[name].folder / "report.html").read_text()
    assert "never falls as it grows" in page


def test_the_server_tells_the_promise(client: Client) -> None:
    """As any program reads it."""
    manifest: ModelManifest = client.manifest("worth")
    assert [each.monotone for each in manifest.features][:2] == ["up", "down"]


def test_a_formula_of_such_a_run_is_refused(published: dict[str, Published]) -> None:
    """By name, before the search."""
    folder = published["sold"].folder.parents[2] / "runs" / "sold"
    with pytest.raises(RunError, match=r"\[network\] monotone"):
        find_formula(folder, {}, lambda _: None)


def test_three_classes_are_refused(published: dict[str, Published], tmp_path: Path) -> None:
    """The message gives their number and the reason."""
    homes = table(0)
    homes["sold"] = np.where(homes["rooms"] > 6, "soon", homes["sold"])
    homes.to_csv(tmp_path / "homes.csv", index=False)
    with pytest.raises(DataError, match="has 3 classes; wanted a regression or two classes"):
        run(tmp_path, "sold", target="sold", kind="classification", sections=DEEP)
    assert not (tmp_path / "models").exists()


def test_a_source_knows_its_columns(tmp_path: Path) -> None:
    """Those of a built-in table are known only when it is read."""
    file = tmp_path / "diabetes.toml"
    keys = '[model]\nname = "d"\n[data]\nsource = "sklearn:diabetes"\n[task]\nkind = "regression"\n[network]\n'
    file.write_text(keys + 'monotone = { weight = "up" }\n')
    with pytest.raises(TrainingError, match='"weight", which is no input; wanted some of "age"'):
        train(Run(load_recipe(file), tmp_path / "models", RunFolder(tmp_path / "run")), Quiet())


def test_nothing_is_told_of_a_constant(tmp_path: Path) -> None:
    """No answer moves with it; one that learns on from constant rows still moves, and keeps its promise."""

    def told(name: str, **changes: str) -> dict[str, str]:
        features = run(tmp_path, name, **changes).manifest.features
        return {each.column: each.monotone for each in features if each.column in ("age", "price")}

    sections = f"[network]\nhidden = []\n{MONOTONE}\n[fit]\ngrids = [3]\nsteps = 2\n"
    table(0).to_csv(tmp_path / "homes.csv", index=False)
    table(0).assign(price=5.0).to_csv(tmp_path / "same.csv", index=False)
    assert told("same", path="same.csv", sections=sections) == {"age": "up", "price": ""}
    assert told("homes", sections=sections) == {"age": "up", "price": "down"}
    later = {"path": "same.csv", "model": 'continue_from = "models/homes/1"', "sections": ON}
    assert told("homes", **later) == {"age": "up", "price": "down"}
