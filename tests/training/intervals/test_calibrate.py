"""The bounds of a network: which rows are judged together, and when there are too few of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data.dataset import Dataset, prepare
from training.fitting.apart import ApartRows
from training.intervals.calibrate import Calibrated, calibrate
from training.pipelines.fresh.fit import new_fit
from training.publishing.export import Trained
from training.recipe.config import parse_recipe

RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame({"x": RANDOM.uniform(-1, 1, 200), "when": RANDOM.permutation(200), "house": np.arange(200) % 20})
TABLE["y"] = TABLE["x"] + RANDOM.normal(size=200)


def calibrated(folder: Path, split: str) -> tuple[Calibrated, Dataset]:
    """The bounds of a network that is not fitted: its answers to all rows are 0."""
    TABLE.astype({"house": str}).to_csv(folder / "t.csv", index=False)
    text = (
        '[model]\nname = "m"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = ["x"]\n[task]\nkind = "regression"\n'
        f"[split]\n{split}\n[network]\nhidden = [2]\n[fit]\ngrids = [3]\nbatch_rows = 64\n"
        "[ensemble]\nmembers = 4\n[intervals]\ncoverage = 0.9\n"
    )
    recipe = parse_recipe(text, folder=folder, name="recipe")
    dataset = prepare(recipe)
    way, table = new_fit(recipe, dataset)
    numbers = np.concatenate([dataset.train, dataset.validation])
    rows = ApartRows(numbers, np.zeros((len(numbers), 1)), np.arange(len(numbers)) % 4, numbers[:0])
    trained = Trained(way.network(way.begin()), table.inputs, table.outputs)
    return calibrate(recipe, dataset, trained, rows), dataset


def test_folds_are_stretches_of_time(tmp_path: Path) -> None:
    """With a split by time: the folds follow each other in time, as those of members do."""
    found, _ = calibrated(tmp_path, 'kind = "time"\ncolumn = "when"')
    when = TABLE["when"].to_numpy()[found.rows.numbers]
    assert set(found.folds) == set(range(5))
    for fold in range(4):
        assert when[found.folds == fold].max() < when[found.folds == fold + 1].min()


def test_folds_are_whole_groups(tmp_path: Path) -> None:
    """With a split by group: no house is in two folds."""
    found, _ = calibrated(tmp_path, 'kind = "group"\ncolumn = "house"')
    house = TABLE["house"].to_numpy()[found.rows.numbers]
    assert set(found.folds) == set(range(5))
    assert all(len(set(found.folds[house == each])) == 1 for each in set(house))


def test_half_the_width_is_the_score_of_the_rank(tmp_path: Path) -> None:
    """Of n rows whose answers are 0: the ⌈(n + 1) · 0.9⌉-th smallest |y|, times a scale whose scores have it."""
    found, dataset = calibrated(tmp_path, 'kind = "random"')
    errors = np.abs(dataset.y[found.rows.numbers])
    rank = int(np.ceil((len(errors) + 1) * 0.9))
    scores = np.sort(errors * np.exp(-found.log_scales), axis=0)
    assert found.intervals.half_width[0] == pytest.approx(scores[rank - 1, 0], rel=1e-6)
