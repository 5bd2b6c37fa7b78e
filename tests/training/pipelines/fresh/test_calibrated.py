"""[calibration] from a recipe to the answers of a server, beside the same recipe without it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from kan_api.v1.manifest_pb2 import ModelManifest
from service.client import Client
from tests.kit.server.kan_serve import serving
from tests.training.pipelines.test_ensemble import Watching
from training.calibration import class_sets
from training.calibration.error import calibration_error
from training.data.dataset import prepare
from training.errors import Interrupted
from training.pipelines.fresh.fit import new_fit
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.publishing.publish import Published
from training.publishing.version import read_newest
from training.recipe.config import load_recipe

RECIPE = """
[model]
name = "{name}"
[data]
path = "drawn.csv"
target = "kind"
columns = ["a", "b", "c"]
{data}
[task]
kind = "classification"
{task}
[split]
seed = 3
{split}
[network]
hidden = [8]
[fit]
grids = {grids}
steps = 40
learning_rate = 0.05
batch_rows = 64
{fit}
[ensemble]
members = 3
{ensemble}
[lowering]
tune_for = []
"""
CALIBRATION = "[calibration]\ncoverage = 0.8\n"
# Smoothed labels make probabilities surely less certain than they could be, so that the temperature is below 1.
SMOOTHED = "label_smoothing = 0.5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three classes with little noise, a weight and a group of five rows each; the tests share it."""
    folder = tmp_path_factory.mktemp("drawn")
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (600, 3))
    scores = 4 * np.stack([2 * x[:, 0], np.sin(3 * x[:, 1]), -x[:, 0] * x[:, 2]], axis=1)
    kind = (random.random((600, 1)) > softmax(scores, axis=1).cumsum(axis=1)).sum(axis=1).clip(max=2)
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind=np.array(["low", "mid", "top"])[kind])
    table = table.assign(weight=random.integers(0, 4, 600), shop=np.arange(600) // 5)
    table.to_csv(folder / "drawn.csv", index=False)
    return folder


def run_of(folder: Path, name: str, more: str, **keys: str) -> Run:
    """A run by the recipe with further sections and keys."""
    path = folder / f"{name}.toml"
    filled = {"data": "", "task": "", "split": "", "grids": "[5]", "fit": SMOOTHED, "ensemble": ""} | keys
    path.write_text(RECIPE.format(name=name, **filled) + more)
    return Run(load_recipe(path), folder / "models", RunFolder(folder / f"run_{name}"))


@pytest.fixture(scope="module")
def published(folder: Path) -> dict[str, Published]:
    """The same recipe without and with [calibration]."""
    return {
        name: train(run_of(folder, name, more, ensemble="refit = true"), Watcher())
        for name, more in (("plain", ""), ("calibrated", CALIBRATION))
    }


@pytest.fixture(scope="module")
def client(folder: Path, published: dict[str, Published]) -> Iterator[Client]:
    """A client of a kan-serve of both."""
    assert set(published) == {"plain", "calibrated"}
    with serving(folder / "models", log=folder / "log") as server, Client(server.grpc) as connected:
        yield connected


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Rows inside and outside of the training ranges."""
    return np.random.default_rng(1).uniform(-1.5, 1.5, (300, 3)).astype(np.float32)


def test_the_server_answers_the_scores_divided_by_the_temperature(
    client: Client, published: dict[str, Published], rows: np.ndarray
) -> None:
    """softmax(z / T) in float64, z the logarithms that the plain model serves; the labels are the same."""
    temperature = published["calibrated"].manifest.calibration.temperature
    assert temperature < 0.9
    plain, calibrated = client.predict("plain", rows), client.predict("calibrated", rows)
    wanted = softmax(np.log(plain.values.astype(np.float64)) / temperature, axis=1)
    np.testing.assert_allclose(calibrated.values, wanted, atol=1e-5)
    best = np.sort(plain.values, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-4
    assert clear.mean() > 0.95
    assert calibrated.labels is not None
    assert plain.labels is not None
    assert [a for a, is_clear in zip(calibrated.labels, clear, strict=True) if is_clear] == [
        a for a, is_clear in zip(plain.labels, clear, strict=True) if is_clear
    ]


def test_explanations_are_of_the_divided_scores(client: Client, rows: np.ndarray) -> None:
    """Contributions and baseline add up to the score, whose softmax is what the server answers."""
    found, answered = client.explain("calibrated", rows[:50]), client.predict("calibrated", rows[:50])
    summed = found.contributions.sum(axis=2) + found.baseline
    np.testing.assert_allclose(summed, found.explained, atol=1e-4)
    np.testing.assert_allclose(softmax(found.explained, axis=1), answered.values, atol=1e-5)
    np.testing.assert_allclose(
        log_softmax(found.explained.astype(np.float64), axis=1), np.log(answered.values), atol=1e-4
    )


def test_the_manifest_tells_what_the_temperature_did(
    client: Client, published: dict[str, Published], folder: Path
) -> None:
    """Error and log loss on the test rows, before and after, from the answers of two fits without a refit."""
    told = client.manifest("calibrated").calibration
    assert told == published["calibrated"].manifest.calibration
    assert not published["plain"].manifest.HasField("calibration")
    run = run_of(folder, "judged", CALIBRATION)
    trained = train(run, Watcher())
    dataset, own = prepare(run.recipe), trained.manifest.calibration
    truth = dataset.y[dataset.test].astype(np.int64)
    assert own.test.temperature == own.out_of_fold.temperature == own.temperature
    after = predict(read_newest(trained.folder, "").trained, dataset.x[dataset.test])
    assert own.test.rows == told.test.rows == len(truth)
    assert own.test.log_loss_after == pytest.approx(log_loss(truth, after), rel=1e-5)
    assert own.test.log_loss_after == pytest.approx(trained.manifest.metrics["test_log_loss"], rel=1e-5)
    assert own.test.error_after == pytest.approx(calibration_error(after, truth), abs=1e-5)
    before = softmax(np.log(after) * own.temperature, axis=1)
    assert own.test.log_loss_before == pytest.approx(log_loss(truth, before), rel=1e-5)
    assert own.out_of_fold.rows == len(dataset.train) + len(dataset.validation)
    assert own.out_of_fold.log_loss_after < own.out_of_fold.log_loss_before
    # After a refit the test rows judged the fit before it, by its own temperature; the note is of the published one.
    assert told.test == own.test
    assert told.out_of_fold.rows == 600
    assert told.out_of_fold.temperature == told.temperature != told.test.temperature
    # So did they judge the sets; the threshold is of the published fit.
    found = class_sets(after, own.sets.threshold)
    assert own.sets.judged_by == told.sets.judged_by == "test"
    assert (
        own.sets.judged_coverage == told.sets.judged_coverage == pytest.approx(found[range(len(truth)), truth].mean())
    )
    assert own.sets.judged_size == told.sets.judged_size == pytest.approx(found.sum(axis=1).mean())
    assert 0 < told.sets.threshold != own.sets.threshold
    assert (told.sets.coverage, told.sets.calibration_rows) == (0.8, 600)
    notes = [note for note in published["calibrated"].notes if note.startswith("scores")]
    assert len(notes) == 1
    assert f"divided by a temperature of {told.temperature:.4g};" in notes[0]


def test_a_version_is_trained_further_from_its_calibrated_scores(folder: Path, published: dict[str, Published]) -> None:
    """Not a step ahead, the network read back answers the published probabilities."""
    assert published["calibrated"].manifest.calibration.temperature != 1
    newest: Trained = read_newest(published["calibrated"].folder, "").trained
    plain: Trained = read_newest(published["plain"].folder, "").trained
    x = np.random.default_rng(2).uniform(-1, 1, (50, 3))
    scores = predict(replace(newest, outputs=None), x)
    ratio = predict(replace(plain, outputs=None), x) / scores
    np.testing.assert_allclose(ratio, published["calibrated"].manifest.calibration.temperature, rtol=1e-4)


def test_a_stopped_run_has_the_same_temperature(folder: Path, tmp_path: Path) -> None:
    """Stopped in the middle and resumed: to the last bit. The section comes after the fit, so it may be added then."""
    plain, given = (run_of(folder, "stopped", more) for more in ("", CALIBRATION))
    whole = train(replace(given, models=tmp_path / "whole", folder=RunFolder(tmp_path / "other")), Watcher())
    with pytest.raises(Interrupted):
        train(plain, Watching(stop_after=10))
    resumed = train(replace(given, resume=True), Watcher())
    assert resumed.manifest.calibration == whole.manifest.calibration


SEARCH = "[search]\n[[search.candidates]]\nsteps = 9\n[[search.candidates]]\nsteps = 20\n"


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        ("", {"data": 'weights = "weight"', "task": 'class_weights = "balanced"'}),
        ("", {"split": 'kind = "group"\ncolumn = "shop"', "grids": "[3, 6]"}),
        (SEARCH, {}),
    ],
)
def test_searches_weights_groups_and_grids(folder: Path, more: str, keys: dict[str, str], tmp_path: Path) -> None:
    """Each row counts as in the loss; those of weight 0, and those that chose a candidate, take no part."""
    run = replace(run_of(folder, "more", CALIBRATION + more, **keys), models=tmp_path, folder=RunFolder(tmp_path / "r"))
    manifest: ModelManifest = train(run, Watcher()).manifest
    found, dataset = manifest.calibration.out_of_fold, prepare(run.recipe)
    rows = np.concatenate([dataset.train, dataset.validation])
    counting = rows if dataset.weights is None else rows[dataset.weights[rows] > 0]
    assert found.rows == len(counting) if not more else 0 < found.rows < len(counting)
    assert found.log_loss_after < found.log_loss_before
    assert manifest.calibration.temperature < 1


def test_a_search_by_groups_leaves_out_the_groups_that_chose(folder: Path, tmp_path: Path) -> None:
    """No group has rows both among those that chose the candidate and among those that fit the temperature."""
    given = run_of(folder, "both", CALIBRATION + SEARCH, split='kind = "group"\ncolumn = "shop"')
    dataset = prepare(given.recipe)
    way, _ = new_fit(given.recipe, dataset)
    state = way.begin()
    for _ in way.steps(state):
        pass
    rows = way.left_out(state)
    assert rows is not None
    assert dataset.groups is not None
    fitted, chose = dataset.groups[rows.numbers], dataset.groups[rows.chose]
    assert len(rows.numbers) > 100
    assert not set(fitted) & set(chose)
    assert len(rows.numbers) + len(rows.chose) == len(dataset.train) + len(dataset.validation)
    manifest = train(replace(given, models=tmp_path, folder=RunFolder(tmp_path / "r")), Watcher()).manifest
    assert manifest.calibration.out_of_fold.rows == len(rows.numbers)
