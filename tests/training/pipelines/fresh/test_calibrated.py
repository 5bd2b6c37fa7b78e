"""[calibration] from a recipe to the answers of a server, beside the same recipe without it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from service.client import Client, cli
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
from training.publishing.publish import Published
from training.recipe.config import load_recipe

RECIPE = """
[model]
name = "{name}"
[data]
path = "drawn.csv"
target = "kind"
columns = ["a", "b", "c"]
[task]
kind = "classification"
[split]
seed = 3
{split}
[network]
hidden = [8]
[fit]
grids = [5]
steps = 20
learning_rate = 0.05
batch_rows = 64
{fit}
[ensemble]
members = 3
{ensemble}
[lowering]
tune_for = []
"""
CALIBRATION = "[calibration]\ncoverage = 0.95\n"
# Of two classes; a single pass over the rows with large steps makes members far too sure.
HASTY = (
    ('path = "drawn.csv"', 'path = "two.csv"'),
    ("steps = 20", "steps = 1"),
    ("batch_rows = 64", "batch_rows = 2"),
    ("learning_rate = 0.05", "learning_rate = 0.2"),
)
ROWS = 400
# Smoothed labels make probabilities surely less certain than they could be, so that the temperature is below 1.
SMOOTHED = "label_smoothing = 0.5"
TWO_CLASSES = (("two_plain", ""), ("two_calibrated", CALIBRATION))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three classes with little noise, and groups of five rows; the tests share it."""
    folder = tmp_path_factory.mktemp("drawn")
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (ROWS, 3))
    scores = 4 * np.stack([2 * x[:, 0], np.sin(3 * x[:, 1]), -x[:, 0] * x[:, 2]], axis=1)
    kind = (random.random((ROWS, 1)) > softmax(scores, axis=1).cumsum(axis=1)).sum(axis=1).clip(max=2)
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind=np.array(["low", "mid", "top"])[kind])
    table.assign(shop=np.arange(ROWS) // 5).to_csv(folder / "drawn.csv", index=False)
    is_true = random.random(ROWS) < 1 / (1 + np.exp(-4 * x[:, 0]))
    table.assign(kind=np.where(is_true, "yes", "no")).to_csv(folder / "two.csv", index=False)
    return folder


def run_of(folder: Path, name: str, more: str, **keys: str) -> Run:
    """A run by the recipe with further sections and keys."""
    filled = {"split": "", "fit": SMOOTHED, "ensemble": ""} | keys
    return _run(folder, name, RECIPE.format(name=name, **filled) + more)


def hasty_run_of(folder: Path, name: str, more: str) -> Run:
    """A run of two classes whose members are too sure."""
    text = RECIPE.format(name=name, split="", fit="", ensemble="")
    for before, after in HASTY:
        text = text.replace(before, after)
    return _run(folder, name, text + more)


def _run(folder: Path, name: str, text: str) -> Run:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return Run(load_recipe(path), folder / "models", RunFolder(folder / f"run_{name}"))


@pytest.fixture(scope="module")
def published(folder: Path) -> dict[str, Published]:
    """The same recipe without and with [calibration], and with a refit too; another of two classes without and with."""
    sections = (("plain", "", ""), ("calibrated", CALIBRATION, ""), ("refitted", CALIBRATION, "refit = true"))
    made = {name: train(run_of(folder, name, more, ensemble=keys), Watcher()) for name, more, keys in sections}
    return made | {name: train(hasty_run_of(folder, name, more), Watcher()) for name, more in TWO_CLASSES}


@pytest.fixture(scope="module")
def address(folder: Path, published: dict[str, Published]) -> Iterator[str]:
    """Of a kan-serve of all of them."""
    assert set(published) == {"plain", "calibrated", "refitted", "two_plain", "two_calibrated"}
    with serving(folder / "models", log=folder / "log") as server:
        yield server.grpc


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    """A client of this server."""
    with Client(address, 60) as connected:
        yield connected


def served(client: Client, model: str, x: np.ndarray) -> np.ndarray:
    """The probabilities that the server answers, in float64, where they add up to 1 again."""
    values: np.ndarray = client.predict(model, x.astype(np.float32)).values.astype(np.float64)
    values /= values.sum(axis=1, keepdims=True)
    return values


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Rows inside and outside of the training ranges."""
    return np.random.default_rng(1).uniform(-1.5, 1.5, (300, 3)).astype(np.float32)


@pytest.mark.parametrize(("prefix", "classes", "is_below_1"), [("", 3, True), ("two_", 2, False)])
def test_the_server_answers_the_scores_divided_by_the_temperature(
    client: Client, published: dict[str, Published], rows: np.ndarray, prefix: str, classes: int, *, is_below_1: bool
) -> None:
    """softmax(z / T) in float64, z the logarithms that the plain model serves; the labels are the same.

    Three classes of members that are too timid, and two of members that are too sure.
    """
    temperature = client.manifest(f"{prefix}calibrated").calibration.temperature
    assert temperature == published[f"{prefix}calibrated"].manifest.calibration.temperature
    assert temperature < 0.9 if is_below_1 else temperature > 1.2
    plain, calibrated = (client.predict(f"{prefix}{name}", rows) for name in ("plain", "calibrated"))
    assert plain.values.shape == (len(rows), classes)
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
    """Error, log loss and sets of the test rows, from what the server answers to them."""
    told = client.manifest("calibrated").calibration
    assert told == published["calibrated"].manifest.calibration
    assert not published["plain"].manifest.HasField("calibration")
    dataset = prepare(load_recipe(folder / "calibrated.toml"))
    truth = dataset.y[dataset.test].astype(np.int64)
    assert told.test.temperature == told.estimated.temperature == told.temperature
    after = served(client, "calibrated", dataset.x[dataset.test])
    assert told.test.rows == len(truth)
    assert told.test.log_loss_after == pytest.approx(log_loss(truth, after), rel=1e-5)
    assert told.test.log_loss_after == pytest.approx(
        published["calibrated"].manifest.metrics["test_log_loss"], rel=1e-5
    )
    assert told.test.error_after == pytest.approx(calibration_error(after, truth), abs=1e-5)
    before = softmax(np.log(after) * told.temperature, axis=1)
    assert told.test.log_loss_before == pytest.approx(log_loss(truth, before), rel=1e-5)
    assert told.estimated.rows == len(dataset.train) + len(dataset.validation)
    assert told.estimated.log_loss_after < told.estimated.log_loss_before
    found = class_sets(after, told.sets.threshold)
    assert (told.sets.coverage, told.sets.judged_by, told.sets.judged_rows) == (0.95, "test", len(truth))
    assert told.sets.judged_coverage == pytest.approx(found[range(len(truth)), truth].mean())
    assert told.sets.judged_size == pytest.approx(found.sum(axis=1).mean())
    assert 0 < told.sets.threshold < 1


def test_kan_client_prints_the_sets_that_the_estimator_has(
    client: Client, address: str, folder: Path, rows: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of `class_sets` on the served probabilities; `Client` has the same ones. Other versions have none."""
    threshold = client.manifest("calibrated").calibration.sets.threshold
    answered, classes = client.predict("calibrated", rows), client.manifest("calibrated").classes
    wanted = class_sets(answered.values.astype(np.float64), threshold)
    assert 1 < wanted.sum(axis=1).mean() < 3
    path = folder / "rows.csv"
    pd.DataFrame(rows, columns=["a", "b", "c"]).to_csv(path, index=False)
    command = ["predict", "calibrated", str(path), "--address", address, "--output", "json", "--set"]
    assert cli.main(command) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answered.sets is not None
    for line, found, is_in in zip(printed, answered.sets, wanted, strict=True):
        assert found is not None
        assert line["kind_set"] == list(found)
        assert {*found} == {name for name, held in zip(classes, is_in, strict=True) if held}
        assert found[0] == line["kind"]
    assert client.predict("plain", rows).sets is None
    command[1] = "plain"
    assert cli.main(command) == 2
    assert "--set: version 1 of plain has no sets of classes" in capsys.readouterr().err


def test_after_a_refit_the_test_rows_judged_the_fit_before(published: dict[str, Published]) -> None:
    """By its own temperature and threshold; those of the refit, and the note, are of all rows."""
    before, told = (published[name].manifest.calibration for name in ("calibrated", "refitted"))
    assert told.test == before.test
    assert (told.sets.judged_by, told.sets.judged_rows) == ("test", told.test.rows)
    assert (told.sets.judged_coverage, told.sets.judged_size) == (before.sets.judged_coverage, before.sets.judged_size)
    assert told.estimated.rows == told.sets.calibration_rows == ROWS
    assert told.estimated.temperature == told.temperature != before.temperature
    assert 0 < told.sets.threshold != before.sets.threshold
    (note,) = (note for note in published["refitted"].notes if note.startswith("scores"))
    assert f"divided by a temperature of {told.temperature:.4g};" in note


def test_a_version_is_trained_further_from_its_divided_scores(client: Client, folder: Path, tmp_path: Path) -> None:
    """Its log loss before the first step is that of what is served. A note says that the calibration is left out."""
    models = shutil.copytree(folder / "models", tmp_path / "models")
    path = tmp_path / "on.toml"
    text = RECIPE.split("[network]")[0].format(name="calibrated", split="")
    text = text.replace("[data]", f'continue_from = "{models}/calibrated/1"\n[data]')
    text = text.replace("drawn.csv", str(folder / "drawn.csv"))
    path.write_text(text + "[fit]\nsteps = 1\nbatch_rows = 64\n[lowering]\ntune_for = []\n")
    run = Run(load_recipe(path), models, RunFolder(tmp_path / "run"))
    on = train(run, Watcher())
    dataset = prepare(run.recipe)
    answers = served(client, "calibrated", dataset.x[dataset.test])
    assert on.manifest.metrics["before_test_log_loss"] == pytest.approx(
        log_loss(dataset.y[dataset.test].astype(np.int64), answers), rel=1e-5
    )
    assert not on.manifest.HasField("calibration")
    assert any("the calibration of version 1 was made for its network" in note for note in on.notes)


def test_a_stopped_run_has_the_same_temperature(folder: Path, published: dict[str, Published], tmp_path: Path) -> None:
    """Stopped in the middle and resumed: to the last bit. The section comes after the fit, so it may be added then."""
    plain, given = (replace(run_of(folder, "stopped", more), models=tmp_path) for more in ("", CALIBRATION))
    with pytest.raises(Interrupted):
        train(plain, Watching(stop_after=5))
    resumed = train(replace(given, resume=True), Watcher())
    assert resumed.manifest.calibration == published["calibrated"].manifest.calibration


SEARCH = "[search]\n[[search.candidates]]\nsteps = 9\n[[search.candidates]]\nsteps = 20\n"


def test_a_search_by_groups_leaves_out_the_groups_that_chose(folder: Path) -> None:
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
    assert len(rows.numbers) > 70
    assert not set(fitted) & set(chose)
    assert len(rows.numbers) + len(rows.chose) == len(dataset.train) + len(dataset.validation)
