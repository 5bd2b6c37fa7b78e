"""Odd tables through the commands: a sound model, or one line that says what to do; nothing half-written."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from kan_model.onnx_runtime import run as run_model
from training.cli import main

ROWS = np.arange(80)
Edit = Callable[[str], str]


def table(**columns: Any) -> pd.DataFrame:
    """Y = sin a + b with a little noise, and further or other columns."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=80), random.uniform(0, 5, 80)
    return pd.DataFrame({"a": a, "b": b, "y": np.sin(a) + b + 0.1 * random.normal(size=80)}).assign(**columns)


def by_time(recipe: str) -> str:
    """The first rows train, the last ones test."""
    start, end = recipe.index("[split]"), recipe.index("[inputs]")
    return f'{recipe[:start]}[split]\nkind = "time"\ncolumn = "t"\n\n{recipe[end:]}'


def weighted(recipe: str) -> str:
    """By the column w, which is no input then."""
    return re.sub(r'  "w",.*\n', "", recipe.replace("[data]\n", '[data]\nweights = "w"\n'))


def as_it_is(recipe: str) -> str:
    """No edit."""
    return recipe


def go(folder: Path, frame: pd.DataFrame, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> int:
    """kan-train init, an edit, kan-train run with short fits; gives the first exit code that is not 0."""
    monkeypatch.chdir(folder)
    frame.to_csv("t.csv", index=False)
    if code := main(["init", "t.csv", "--target", "y"]):
        return code
    recipe = Path("t.toml")
    text = re.sub(r"(?m)^steps = \d+", "steps = 3", edit(recipe.read_text()))
    recipe.write_text(text + "\n[lowering]\ntune_for = []\n")
    return main(["run", "t.toml"])


@pytest.mark.parametrize(
    ("frame", "edit", "said"),
    [
        (table(t=ROWS, y=np.where(ROWS < 60, "no", "yes")), by_time, "the target is the same in every training row"),
        (table(y=np.where(ROWS == 3, np.inf, ROWS % 7)), as_it_is, "row 4 (line 5) holds inf, wanted a finite number"),
        (table(y=np.where(ROWS == 3, 1e39, ROWS % 7)), as_it_is, "row 4 (line 5) holds 1e+39, wanted a finite number"),
        (table(w=np.where(ROWS == 5, -1.5, 2.5)), weighted, "row 6 (line 7) holds -1.5; wanted 0 or more"),
        (table(w=np.where(ROWS == 5, np.inf, 2.5)), weighted, "row 6 (line 7) holds inf"),
        (table().assign(y="same"), as_it_is, "the target is the same in every row"),
        (table().iloc[:1], as_it_is, "t.csv: 1 row to train on; wanted at least 10"),
        (table(a=1.0, b=2.0), as_it_is, "t.csv: 2 of 2 inputs hold one value only in the training rows; wanted one"),
        (table(a="x", b="z"), as_it_is, 'wanted one that varies: "a=x", "b=z"'),
    ],
    ids=[
        "one class trains",
        "infinite target",
        "huge target",
        "negative weight",
        "infinite weight",
        "one class",
        "one row",
        "constant numbers",
        "constant words",
    ],
)
def test_a_table_that_cannot_be_learned_is_one_line(
    frame: pd.DataFrame,
    edit: Edit,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the column and the row; no version, no state, no file of its own beside."""
    assert go(tmp_path, frame, edit, monkeypatch) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"t.csv", "t.toml", "runs/t/.lock"}


@pytest.mark.parametrize(
    ("frame", "edit"),
    [
        (table(t=ROWS + 0.5, c=np.where(ROWS < 64, ROWS % 7, np.nan)), by_time),
        (table(t=ROWS + 0.5, c=np.where(ROWS >= 64, ROWS % 7, np.nan)), by_time),
        (table(c=np.resize(["a, b", 'c "d"', "e\nf", "#g", "\\h"], 80)), as_it_is),
        (table(y=np.resize(["a, b", "e\nf"], 80)), as_it_is),
        (table(), lambda recipe: re.sub(r"budget = \S+", "budget = 1e-12", recipe)),
    ],
    ids=[
        "no value in a test row",
        "no value in a training row",
        "words of commas, quotes and line breaks",
        "classes of commas and line breaks",
        "a tiny budget",
    ],
)
def test_an_odd_table_becomes_a_sound_model(
    frame: pd.DataFrame, edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a finite answer to zeros and to the usual numbers."""
    assert go(tmp_path, frame, edit, monkeypatch) == 0
    model = onnx.load(tmp_path / "models" / "t" / "1" / "model.onnx")
    features = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    assert np.isfinite(run_model(model, np.array([[0.0] * features, [1.0] * features], np.float32))).all()
    assert (tmp_path / "runs" / "t" / "held_out.csv").exists()
