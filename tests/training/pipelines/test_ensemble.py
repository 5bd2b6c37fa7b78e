"""A recipe with [ensemble]: from a table to a published version that is one network."""

import hashlib
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kan_model.ensemble.members import members_of
from kan_model.network import checkpoint
from training.data.dataset import prepare
from training.data.preparation import input_transform, output_transform
from training.ensemble.plan import EnsembleFit
from training.errors import Interrupted, RecipeError
from training.fitting.fit import FitState
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder, identity_of
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import load_recipe

SECTIONS = "[ensemble]\nmembers = 3\n[adapt]\n"


class Watching(Watcher):
    """Keeps the states' numbers of steps; after so many, SIGINT comes to this process."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.steps, self.stop_after = 0, stop_after

    def on_step(self, state: FitState) -> None:
        """Count."""
        self.steps += 1
        if self.steps == self.stop_after:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def run(write_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., Run]:
    """A run of an ensemble on a table with words and missing cells."""

    def of(more: str = "", **options: object) -> Run:
        path = write_recipe(**({"steps": 8, "grids": "[3, 5]"} | options))
        path.write_text(path.read_text() + SECTIONS + more)
        return Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run"))

    return of


def test_the_mean_of_the_members_is_published_as_one_network(run: Callable[..., Run]) -> None:
    """The network has all hidden nodes; its answers are the mean of its members' answers."""
    given = run()
    published = train(given, Watcher())
    kan = checkpoint.load(given.folder.path / "kan.safetensors")
    assert list(published.manifest.network.width) == [5, 9, 1]
    x = torch.rand(20, 5) * 2 - 1
    mean = torch.stack([member(x) for member in members_of(kan)]).mean(dim=0)
    torch.testing.assert_close(kan(x), mean, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("hidden_grid", "grids"), [(2, [5, 2]), (4, [5, 3])])
def test_hidden_splines_may_be_coarser(run: Callable[..., Run], hidden_grid: int, grids: list[int]) -> None:
    """Their intervals stay the same on every grid, and are never more than those of the first one."""
    given = run()
    assert given.recipe.ensemble is not None
    coarser = given.recipe.ensemble.model_copy(update={"hidden_grid": hidden_grid})
    train(replace(given, recipe=given.recipe.model_copy(update={"ensemble": coarser})), Watcher())
    kan = checkpoint.load(given.folder.path / "kan.safetensors")
    assert [layer.grid_size for layer in kan.layers] == grids


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_validation_metrics_are_those_of_the_out_of_fold_answers(run: Callable[..., Run], kind: str) -> None:
    """They belong to the best loss of the fit, not to answers of members that trained on the rows."""
    target = "weight" if kind == "regression" else "kind"
    given = run(kind=kind, target=target)
    histories: list[float] = []

    class Losses(Watcher):
        def on_step(self, state: FitState) -> None:
            """Keep the best loss."""
            histories.append(state.best_loss)

    metrics = train(given, Losses()).manifest.metrics
    dataset = prepare(given.recipe)
    if kind == "classification":
        assert metrics["validation_log_loss"] == pytest.approx(histories[-1], rel=1e-4)
    else:
        unit = float(dataset.y[dataset.train].std())
        assert metrics["validation_rmse"] == pytest.approx(unit * histories[-1] ** 0.5, rel=1e-4)


def test_a_stopped_run_goes_on_to_the_same_network(run: Callable[..., Run], tmp_path: Path) -> None:
    """Stopped in the second grid: the graph is that of an uninterrupted run, to the byte."""
    given = run()
    whole = train(replace(given, models=tmp_path / "whole", folder=RunFolder(tmp_path / "other")), Watcher())
    with pytest.raises(Interrupted):
        train(given, Watching(stop_after=12))
    watching = Watching()
    resumed = train(replace(given, resume=True), watching)
    assert 0 < watching.steps < 12
    assert (resumed.folder / "model.onnx").read_bytes() == (whole.folder / "model.onnx").read_bytes()


def test_later_steps_see_the_mean(run: Callable[..., Run]) -> None:
    """Pruning, attribution and the baseline run on the one network."""
    published = train(run("[prune]\nedges = 20\n[attribution]\n[baseline]\n"), Watcher())
    assert "baseline_test_rmse" in published.manifest.metrics
    assert sum(feature.attribution for feature in published.manifest.features) > 0


def test_a_group_is_in_one_fold(run: Callable[..., Run]) -> None:
    """Rows of one group are left out by the same member."""
    given = run()
    assert given.recipe.data.path is not None
    table = pd.read_csv(given.recipe.data.path)
    table["house"] = np.arange(len(table)) // 7
    table.to_csv(given.recipe.data.path, index=False)
    split = given.recipe.split.model_copy(update={"kind": "group", "column": "house"})
    recipe = given.recipe.model_copy(update={"split": split})
    dataset = prepare(recipe)
    transform = input_transform(dataset, "minmax")
    fit = EnsembleFit.of(recipe, dataset, transform, output_transform(dataset), torch.float32)
    for house in set(fit.numbers // 7):
        assert len(set(fit.rows.folds[fit.numbers // 7 == house].tolist())) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[sparsify]\n", "sparsify"),
        ("[ensemble]\nmembers = 1\n", "members"),
    ],
)
def test_what_does_not_go_together_is_refused(write_recipe: Callable[..., Path], more: str, said: str) -> None:
    """Before any data is read."""
    path = write_recipe()
    path.write_text(path.read_text() + ("" if "[ensemble]" in more else "[ensemble]\n") + more)
    with pytest.raises(RecipeError, match=said):
        load_recipe(path)


def test_runs_of_recipes_without_the_new_keys_keep_their_identity(write_recipe: Callable[..., Path]) -> None:
    """What the identity is made of has no trace of keys that have their defaults."""
    recipe = load_recipe(write_recipe())
    dataset = prepare(recipe)
    sections = {"split", "inputs", "network", "fit", "adapt", "sparsify", "task"}
    text = json.loads(recipe.model_dump_json(include=sections))
    for key in ("initialization", "arity", "convolutions", "monotone", "additive", "pairs"):
        del text["network"][key]
    for key in ("schedule", "smoothness", "label_smoothing", "refit_with_validation"):
        del text["fit"][key]
    text["task"] = {"kind": "regression"}
    older = json.dumps(text, separators=(",", ":"), ensure_ascii=False)
    expected = hashlib.sha256((older + dataset.fingerprint).encode()).hexdigest()
    assert identity_of(recipe, dataset).followed == expected
