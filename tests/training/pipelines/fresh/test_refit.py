"""[ensemble] refit: the test rows judge a fit, then all rows train the network that is published."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import root_mean_squared_error

from tests.training.pipelines.test_ensemble import Watching
from training.data.dataset import Dataset, prepare
from training.errors import Interrupted, RecipeError
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.manifest import predict
from training.publishing.version import read_newest
from training.recipe.config import Recipe, load_recipe

ENSEMBLE = "[ensemble]\nmembers = 3\n"
SEARCH = "[search]\n[[search.candidates]]\nsteps = 4\n[[search.candidates]]\nsteps = 9\n"


class Refits(Watcher):
    """Keeps what the second fit is told."""

    def __init__(self) -> None:
        self.rows, self.steps = 0, 0

    def on_refit(self, dataset: Dataset, recipe: Recipe) -> None:
        """Keep rows and steps."""
        self.rows, self.steps = len(dataset.train), recipe.fit.steps


@pytest.fixture
def run(write_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., Run]:
    """A run of an ensemble on a table with words and missing cells."""

    def of(name: str, more: str = "", *, refit: bool = True, **options: object) -> Run:
        path = write_recipe(**({"steps": 8, "grids": "[3, 5]"} | options))
        path.write_text(path.read_text() + ENSEMBLE + ("refit = true\n" if refit else "") + more)
        return Run(load_recipe(path), tmp_path / name / "models", RunFolder(tmp_path / name / "run"))

    return of


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_test_metrics_are_those_of_the_fit_before(run: Callable[..., Run], kind: str) -> None:
    """They equal those of the same recipe without refit, and all rows count as training rows."""
    options = {"kind": kind, "target": "weight" if kind == "regression" else "kind"}
    before = train(run("before", refit=False, **options), Watcher()).manifest
    published = train(run("after", **options), Watcher())
    after = published.manifest
    for name, value in before.metrics.items():
        if name.startswith("test_"):
            assert after.metrics[name] == pytest.approx(value, rel=1e-6)
    data = before.data
    assert after.data.refit
    (verdict,) = re.findall('<p class="verdict">(.*)</p>', (published.folder / "report.html").read_text())
    assert re.search(r"\d test rows \(by the fit before the refit\)( are off by|;|, and weakest)", verdict)
    assert not data.refit
    # Members train on the validation rows too.
    assert (data.train_rows + data.test_rows, data.validation_rows) == (after.data.train_rows, 0)
    assert (after.data.validation_rows, after.data.test_rows) == (0, data.test_rows)


def test_the_published_network_learned_the_test_rows(run: Callable[..., Run]) -> None:
    """With a long fit its errors on them are smaller than those of the fit that never saw them."""
    errors = []
    for name, refit in (("before", False), ("after", True)):
        given = run(name, refit=refit, steps=60, grids="[5]")
        dataset = prepare(given.recipe)
        published = train(given, Watcher())
        rows = dataset.test
        answers = predict(read_newest(published.folder, "").trained, dataset.x[rows])
        errors.append(root_mean_squared_error(dataset.y[rows], answers))
    assert errors[1] < errors[0]


def test_the_refit_follows_the_chosen_candidate(run: Callable[..., Run]) -> None:
    """All rows are fitted with the number of steps of the winner of the search."""
    watcher = Refits()
    given = run("search", SEARCH, grids="[3]")
    manifest = train(given, watcher).manifest
    chosen = int(manifest.metrics["search_chosen_candidate"])
    assert watcher.steps == (4, 9)[chosen - 1]
    assert watcher.rows == manifest.data.train_rows


@pytest.mark.parametrize("stop_after", [12, 27])
def test_a_stopped_run_goes_on_to_the_same_network(run: Callable[..., Run], stop_after: int) -> None:
    """Stopped in the first fit or in the second one: the graph is that of an uninterrupted run, to the byte."""
    whole = train(run("whole"), Watcher())
    given = run("stopped")
    with pytest.raises(Interrupted):
        train(given, Watching(stop_after=stop_after))
    resumed = train(replace(given, resume=True), Watcher())
    assert (resumed.folder / "model.onnx").read_bytes() == (whole.folder / "model.onnx").read_bytes()
    assert not list(given.folder.path.glob("*.pt"))


def test_a_fresh_run_forgets_the_refit_of_an_older_one(run: Callable[..., Run]) -> None:
    """The state of a refit that was stopped is not gone on with by a run of another recipe."""
    with pytest.raises(Interrupted):
        train(run("run"), Watching(stop_after=27))
    given = run("run", steps=5)
    assert (given.folder.path / "refit.pt").exists()
    with pytest.raises(Interrupted):
        train(replace(given, fresh=True), Watching(stop_after=2))
    assert not (given.folder.path / "refit.pt").exists()
    assert train(replace(given, resume=True), Watcher()).manifest.data.refit


def test_each_split_gives_all_its_rows(run: Callable[..., Run]) -> None:
    """Rows of a group or of a time train too, in the order of the time."""
    given = run("groups")
    assert given.recipe.data.path is not None
    table = pd.read_csv(given.recipe.data.path)
    table["house"] = np.arange(len(table)) // 7
    table.to_csv(given.recipe.data.path, index=False)
    for kind in ("group", "time"):
        split = given.recipe.split.model_copy(update={"kind": kind, "column": "house"})
        recipe = given.recipe.model_copy(update={"split": split})
        watcher = Refits()
        folder = RunFolder(given.folder.path / kind)
        train(Run(recipe, given.models.parent / kind, folder), watcher)
        dataset = prepare(recipe)
        assert watcher.rows == len(dataset.x)


@pytest.mark.parametrize("section", ["prune", "symbolic"])
def test_steps_that_need_rows_to_judge_by_are_refused(write_recipe: Callable[..., Path], section: str) -> None:
    """After a refit no row is left that the network did not train on."""
    path = write_recipe()
    path.write_text(path.read_text() + ENSEMBLE + f"refit = true\n[{section}]\n")
    with pytest.raises(RecipeError, match=rf"refit: not with \[{section}\]"):
        load_recipe(path)
