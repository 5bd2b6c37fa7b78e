"""Ensembles and searches on tables whose folds, batches or parts are unusual."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from training.data.dataset import prepare
from training.data.preparation import input_transform, output_transform
from training.ensemble.plan import EnsembleFit
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe, parse_recipe

HEAD = """
[model]
name = "m"
[data]
path = "t.csv"
target = "y"
columns = ["x"]
[task]
kind = "regression"
[lowering]
tune_for = []
"""
SEARCH = "[search]\n[[search.candidates]]\nlearning_rate = 0.01\n[[search.candidates]]\nlearning_rate = 0.03\n"


def recipe(folder: Path, table: pd.DataFrame, text: str) -> Recipe:
    """A recipe of the table, which is written first."""
    table.to_csv(folder / "t.csv", index=False)
    return parse_recipe(HEAD + text, folder=folder, name="m.toml")


def publish(folder: Path, table: pd.DataFrame, text: str) -> Published:
    """Train and publish."""
    return train(Run(recipe(folder, table, text), folder / "models", RunFolder(folder / "run")), Watcher())


def noisy(rows: int, seed: int = 0) -> pd.DataFrame:
    """A line with noise."""
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, rows)
    return pd.DataFrame({"x": x, "y": x + random.normal(size=rows), "group": np.arange(rows) % 6})


def test_a_batch_without_a_row_for_any_member_is_left_out(tmp_path: Path) -> None:
    """One member of two, a last batch of one row: in half of the epochs it is a row that the member leaves out."""
    table = noisy(60)
    text = "[network]\nhidden = [2]\n[fit]\ngrids = [3]\nsteps = 20\nbatch_rows = {}\n[ensemble]\nmembers = 2\n"
    given = prepare(recipe(tmp_path, table, text.format(5)))
    rows = len(given.train) + len(given.validation)
    own = recipe(tmp_path, table, text.format(rows - 1))
    transforms = input_transform(given, "minmax"), output_transform(given)
    fit = EnsembleFit.of(own, given, *transforms, torch.float32).some(0, 1)
    state = fit.begin()
    for _ in fit.steps(state):
        pass
    assert state.diverged == []
    assert [record.step for record in state.history] == list(range(1, 21))
    assert np.isfinite([record.train_loss for record in state.history]).all()


def test_quiet_validation_rows_do_not_condemn_a_good_ensemble(tmp_path: Path) -> None:
    """Its loss is out of fold, over the noisy past too; that of its start on the quiet rows is no measure for it."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, 300)
    noise = np.where(np.arange(300) < 180, 3.0, 0.01)
    table = pd.DataFrame({"day": np.arange(300), "x": x, "y": 3 * x * (noise > 1) + noise * random.normal(size=300)})
    fit = "[network]\nhidden = [2]\n[fit]\ngrids = [3]\nsteps = 20\n[ensemble]\nmembers = 3\n"
    published = publish(tmp_path, table, '[split]\nkind = "time"\ncolumn = "day"\n' + fit)
    assert published.manifest.version == 1


@pytest.mark.parametrize("seed", range(4))
def test_blocks_of_a_search_may_end_on_different_grids(tmp_path: Path, seed: int) -> None:
    """On few noisy rows one block's best network is on the first grid, another's on the second."""
    fit = f"[network]\nhidden = [2]\n[fit]\ngrids = [3, 6]\nsteps = 6\nseed = {seed}\n[ensemble]\nmembers = 4\n"
    published = publish(tmp_path, noisy(50, seed), fit + SEARCH)
    assert list(published.manifest.network.width) == [1, 8, 1]


def test_there_are_no_more_members_than_groups(tmp_path: Path) -> None:
    """Each member leaves out a group; six groups, of which some are in the test part."""
    fit = "[network]\nhidden = [2]\n[fit]\ngrids = [3]\nsteps = 4\n[ensemble]\nmembers = 8\n"
    published = publish(tmp_path, noisy(120), '[split]\nkind = "group"\ncolumn = "group"\n' + fit + SEARCH)
    assert published.manifest.network.width[1] <= 2 * 6
