"""Held-out rows test a network. They do not decide whether it is published, even if it has no finite answer to them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data.objective.loss_function import Task
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.manifest import UNANSWERED, scores, scores_of_answered
from training.publishing.publish import Published
from training.recipe.config import parse_recipe
from training.report.summary import of_run

RECIPE = """
[model]
{model}
[data]
path = "{table}"
target = "y"
columns = ["a", "b"]
[task]
kind = "regression"
[split]
kind = "time"
column = "t"
[lowering]
tune_for = []
"""
FIRST = """
[network]
hidden = []
[fit]
optimizer = "lbfgs"
grids = [8]
[symbolic]
functions = ["log"]
"""


def write(folder: Path, name: str, a: np.ndarray) -> None:
    """log(a) + sin(b), row by row in time; 0 for the first part where a is negative."""
    random = np.random.default_rng(0)
    b = random.uniform(-3, 3, len(a))
    y = np.where(a > 0, np.log(np.abs(a)), 0.0) + np.sin(b)
    pd.DataFrame({"a": a, "b": b, "t": np.arange(len(a)), "y": y}).to_csv(folder / name, index=False)


def published(folder: Path, model: str, table: str, sections: str = "") -> Published:
    """Train and publish below the folder."""
    text = RECIPE.format(model=model, table=table) + sections
    recipe = parse_recipe(text, folder=folder, name="recipe.toml")
    return train(Run(recipe, folder / "models", RunFolder(folder / "run")), Watcher())


@pytest.mark.parametrize("classes", [False, True])
def test_rows_without_an_answer_are_counted_and_the_others_scored(classes: bool) -> None:
    """As scikit-learn scores the rest; where no row has an answer nothing is scored."""
    random = np.random.default_rng(0)
    truth, answers = random.integers(0, 2, 9), random.dirichlet([1, 1], 9)
    if not classes:
        truth, answers = truth[:, None].astype(float), answers[:, :1]
    task: Task = "classification" if classes else "regression"
    assert scores_of_answered(task, truth, answers) == scores(task, truth, answers)
    answers[[2, 5], 0] = np.nan, np.inf
    rest = np.delete(np.arange(9), [2, 5])
    assert scores_of_answered(task, truth, answers) == {UNANSWERED: 2.0, **scores(task, truth[rest], answers[rest])}
    assert scores_of_answered(task, truth, np.full_like(answers, np.nan)) == {UNANSWERED: 9.0}


@pytest.mark.slow
def test_a_version_learns_on_although_a_held_out_row_has_no_answer(tmp_path: Path) -> None:
    """New rows of which the last one lies beyond the logarithm: published, counted, and told by notes and summary."""
    random = np.random.default_rng(1)
    write(tmp_path, "old.csv", random.uniform(0.05, 5, 400))
    first = published(tmp_path, 'name = "log"', "old.csv", FIRST)
    assert any(note.startswith("symbolic: 1 of 2 edges") for note in first.notes)
    assert f"test_{UNANSWERED}" not in first.manifest.metrics
    write(tmp_path, "new.csv", np.append(random.uniform(1, 4, 199), -3.0))
    second = published(tmp_path, 'name = "log"\ncontinue_from = "models/log/1"', "new.csv")
    assert second.manifest.version == 2
    assert second.manifest.metrics[f"test_{UNANSWERED}"] == 1
    assert second.manifest.metrics["test_r2"] > 0.9
    assert any(note.startswith("warning   no answer to 1 ") for note in second.notes)
    assert "no answer to 1 test rows" in of_run(second, tmp_path)
    assert (second.folder / "report.html").stat().st_size > 0
