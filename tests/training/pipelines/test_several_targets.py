"""A regression with several targets, from the recipe to the served graph."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn import metrics as sk

from kan_model.onnx_runtime import run as run_model
from service.client.command.answer_table import column_names
from training.data.dataset import prepare
from training.errors import DataError, TrainingError
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder, identity_of
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe, parse_recipe
from training.report.summary import of_run

TEXT = """
[model]
name = "m"
[data]
path = "t.csv"
target = ["far", "near"]
columns = ["a", "b"]
[task]
kind = "regression"
[network]
hidden = [3]
[fit]
optimizer = "lbfgs"
grids = [5]
steps = 30
[lowering]
tune_for = []
"""


def table(rows: int = 300) -> pd.DataFrame:
    """Two targets of very different units, both positive."""
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, rows))
    return pd.DataFrame({"a": a, "b": b, "far": 1e5 * np.exp(np.sin(2 * a)), "near": 0.5 + b**2 + 0.1 * a})


def read(folder: Path, changed: pd.DataFrame | None = None, text: str = TEXT) -> Recipe:
    """The recipe of a table, which is written first."""
    (table() if changed is None else changed).to_csv(folder / "t.csv", index=False)
    return parse_recipe(text, folder=folder, name="m.toml")


def publish(recipe: Recipe, folder: Path) -> Published:
    """Train and publish."""
    return train(Run(recipe, folder / "models", RunFolder(folder / "run")), Watcher())


def test_a_version_answers_all_targets_in_order(tmp_path: Path) -> None:
    """Both in raw units, in the recipe's order; metrics of each and their mean; manifest, report, summary name both."""
    recipe = read(tmp_path)
    published = publish(recipe, tmp_path)
    dataset, manifest = prepare(recipe), published.manifest
    rows, truth = dataset.x[dataset.test].astype(np.float32), dataset.y[dataset.test]
    answers = run_model(onnx.load(published.folder / "model.onnx"), rows)
    for place, name in enumerate(("far", "near")):
        assert sk.r2_score(truth[:, place], answers[:, place]) > 0.9
        rmse = sk.root_mean_squared_error(truth[:, place], answers[:, place])
        assert manifest.metrics[f"test_rmse_of_{name}"] == pytest.approx(rmse, rel=1e-3)
    both = [manifest.metrics[f"test_r2_of_{name}"] for name in ("far", "near")]
    assert manifest.metrics["test_r2"] == pytest.approx(np.mean(both))
    assert (manifest.target, list(manifest.targets)) == ("", ["far", "near"])
    assert list(manifest.outputs[0].shape) == [-1, 2]
    assert column_names(manifest, all_probabilities=False) == ["far", "near"]
    assert list(pd.read_csv(tmp_path / "run" / "held_out.csv").columns) == ["a", "b", "far", "near"]
    assert (published.folder / "report.html").read_bytes().count(b'alt="predicted and true') == 2
    lines = of_run(published, tmp_path).splitlines()
    assert any(line.startswith("  far: MAE ") for line in lines)
    assert "_of_" not in "".join(lines)
    assert " of far" not in next(line for line in lines if line.startswith("  test  "))


def test_each_target_is_fitted_as_well_as_alone(tmp_path: Path) -> None:
    """The loss is of scaled targets, so that a target of large numbers does not drown one of small numbers."""
    alone = []
    for name in ("far", "near"):
        (tmp_path / name).mkdir()
        recipe = read(tmp_path / name, text=TEXT.replace('["far", "near"]', f'"{name}"'))
        alone.append(publish(recipe, tmp_path / name).manifest.metrics["test_r2"])
    metrics = publish(read(tmp_path), tmp_path).manifest.metrics
    together = [metrics[f"test_r2_of_{name}"] for name in ("far", "near")]
    np.testing.assert_allclose(together, alone, atol=0.05)


@pytest.mark.parametrize(
    "keys",
    [
        'target_scale = "log"',
        'objective = "gamma"',
        'objective = "huber"\nhuber_delta = 0.5',
        'objective = "quantile"\nquantile = 0.7',
    ],
)
def test_scale_and_objective_hold_for_each_target(tmp_path: Path, keys: str) -> None:
    """Each target has a center and a scale of its own, and both are learned."""
    text = TEXT.replace('"regression"', f'"regression"\n{keys}').replace("lbfgs", "adam")
    metrics = publish(read(tmp_path, text=text), tmp_path).manifest.metrics
    assert min(metrics["test_r2_of_far"], metrics["test_r2_of_near"]) > 0.4


def test_levenberg_and_marquardt_fit_several_targets(tmp_path: Path) -> None:
    """With squared error, as ever."""
    text = TEXT.replace("lbfgs", "levenberg-marquardt").replace("steps = 30", "steps = 10")
    metrics = publish(read(tmp_path, text=text), tmp_path).manifest.metrics
    assert min(metrics["test_r2_of_far"], metrics["test_r2_of_near"]) > 0.95


def test_formulas_are_named_by_their_targets(tmp_path: Path) -> None:
    """One line for each; both depend on both inputs, because a curve of noise has no formula for sure."""
    clear = table()
    clear["far"], clear["near"] = np.exp(clear["a"]) + clear["b"] ** 2, clear["a"] ** 2 + np.exp(clear["b"])
    text = TEXT.replace("hidden = [3]", "hidden = []") + '[symbolic]\nmin_r2 = 0.5\nfunctions = ["x", "x^2", "exp"]\n'
    formula = publish(read(tmp_path, clear, text), tmp_path).manifest.formula
    assert [line.split(" = ")[0] for line in formula.splitlines()] == ["far", "near"]


def test_a_row_needs_all_targets(tmp_path: Path) -> None:
    """A row that lacks the second one is refused with its number, or dropped where the recipe drops rows."""
    flawed = table()
    flawed.loc[4, "near"] = np.nan
    with pytest.raises(DataError, match=r'"near": a target: 1 cell is missing, in row 5'):
        prepare(read(tmp_path, flawed))
    text = TEXT.replace("[task]", 'missing = "drop_rows"\n[task]')
    assert prepare(read(tmp_path, flawed, text)).dropped_rows == 1
    flawed["near"] = np.nan
    with pytest.raises(DataError, match="leaves no row"):
        prepare(read(tmp_path, flawed, text))


def test_each_target_has_to_be_one(tmp_path: Path) -> None:
    """One that never varies, that is not there, or that the scale does not allow is refused by its name."""
    flawed = table()
    flawed["near"] = 3.0
    with pytest.raises(DataError, match='"near": the target is the same in every training row'):
        prepare(read(tmp_path, flawed))
    with pytest.raises(DataError, match=r'no column "nearer" \(a target\)'):
        prepare(read(tmp_path, text=TEXT.replace('"near"', '"nearer"')))
    flawed = table()
    flawed.loc[7, "near"] = 0
    with pytest.raises(DataError, match=r'"near": row 8 .*holds 0; .*target_scale'):
        prepare(read(tmp_path, flawed, TEXT.replace('"regression"', '"regression"\ntarget_scale = "log"')))


def test_a_list_of_one_is_that_one(tmp_path: Path) -> None:
    """The same run, the same manifest."""
    recipes = [read(tmp_path, text=TEXT.replace('["far", "near"]', target)) for target in ('"near"', '["near"]')]
    assert len({identity_of(recipe, prepare(recipe)) for recipe in recipes}) == 1
    assert recipes[1].data.target == "near"


def test_a_version_follows_one_with_the_same_targets(tmp_path: Path) -> None:
    """It is trained further with them in the same order; another order cannot follow under the same name."""
    publish(read(tmp_path), tmp_path)
    on = TEXT.replace('name = "m"', 'name = "m"\ncontinue_from = "models/m/1"')
    on = on.replace("[network]\nhidden = [3]\n", "").replace("grids = [5]\n", "")
    second = publish(read(tmp_path, text=on), tmp_path)
    assert list(second.manifest.targets) == ["far", "near"]
    turned = '["near", "far"]'
    with pytest.raises(TrainingError, match='predicts "far", "near"; the recipe has "near", "far"'):
        publish(read(tmp_path, text=on.replace("m/1", "m/2").replace('["far", "near"]', turned)), tmp_path)
    with pytest.raises(TrainingError, match='target 1 is "far" there and "near" here'):
        publish(read(tmp_path, text=TEXT.replace('["far", "near"]', turned)), tmp_path)
