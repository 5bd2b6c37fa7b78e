"""[baseline]: an MLP beside the network, as a run tells it."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kan_model import parameter_count
from kan_model.network import checkpoint
from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform
from training.errors import Interrupted, RecipeError
from training.recipe.config import Recipe, parse_recipe
from training.steps import StepData, finish


def test_the_baseline_is_judged_in_raw_units_on_the_same_rows(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """R² is 1 − rmse² / variance of the table's held-out targets; the MLP has as many parameters as the KAN, ± 5 %."""
    recipe = wave("[baseline]\ndepth = 1\n")
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    kan = new_network(dataset, recipe, inputs)
    finished = finish(kan, recipe, StepData.of(dataset, inputs, outputs, kan.dtype), lambda: None)
    variance = float(np.var(dataset.y[dataset.test]))
    metrics = finished.metrics
    assert metrics["baseline_test_r2"] == pytest.approx(1 - metrics["baseline_test_rmse"] ** 2 / variance)
    assert metrics["baseline_test_r2"] > 0.5
    (note,) = finished.notes
    count = re.match(r"baseline: an MLP of (\d+) parameters, on the test rows: MAE ", note)
    assert count is not None
    assert int(count[1]) == pytest.approx(parameter_count(kan), rel=0.05)
    assert all(a is b for a, b in zip(kan.parameters(), finished.kan.parameters(), strict=True))


def test_the_manifest_holds_both(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """A run's metrics of the network stay its own; those of the MLP stand beside them, for classes too."""
    recipe = wave("[baseline]\n")
    text = recipe.text.replace('target = "y"', 'target = "kind"').replace("regression", "classification")
    from training.pipelines.run import Run
    from training.pipelines.run_folder import RunFolder
    from training.pipelines.train import train
    from training.pipelines.watcher import Watcher

    classes = parse_recipe(text.replace("lbfgs", "adam").replace("steps = 40", "steps = 3"), folder=tmp_path, name="r")
    metrics = train(Run(classes, tmp_path / "models", RunFolder(tmp_path / "run")), Watcher()).manifest.metrics
    for name in ("accuracy", "log_loss"):
        assert {f"test_{name}", f"validation_{name}", f"baseline_test_{name}"} <= set(metrics)
    assert checkpoint.load(tmp_path / "run" / "kan.safetensors").width == (3, 2)


def test_several_baselines_have_metrics_of_their_own(wave: Callable[[str], Recipe]) -> None:
    """Each kind under its prefix, with the constant answer at R² 0; the MLP keeps the names that it had alone."""
    recipe = wave('[baseline]\nkinds = ["trivial", "linear", "boosted", "mlp"]\ndepth = 1\n')
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    kan = new_network(dataset, recipe, inputs)
    said: list[str] = []
    finished = finish(kan, recipe, StepData.of(dataset, inputs, outputs, kan.dtype), lambda: None, said.append)
    metrics = finished.metrics
    assert metrics["baseline_trivial_test_r2"] == pytest.approx(0, abs=0.05)
    linear, boosted = metrics["baseline_linear_test_r2"], metrics["baseline_boosted_test_r2"]
    assert metrics["baseline_trivial_test_r2"] < linear < boosted < 1
    assert {"baseline_validation_rmse", "baseline_test_r2"} <= set(metrics)
    assert said == ["baseline: fitting boosted trees", "baseline: fitting an MLP"]


@pytest.mark.parametrize("section", ["", "[ensemble]\nmembers = 2\n"])
def test_all_rows_but_the_test_rows_train_the_line(section: str, wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """It is scikit-learn's own, beside one network and beside an ensemble; no validation row judges it then."""
    text = wave("").text.replace("lbfgs", "adam") + f'{section}[baseline]\nkinds = ["linear"]\n'
    recipe = parse_recipe(text, folder=tmp_path, name="r")
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    kan = new_network(dataset, recipe, inputs)
    metrics = finish(kan, recipe, StepData.of(dataset, inputs, outputs, kan.dtype), lambda: None).metrics
    rows = np.setdiff1d(np.arange(len(dataset.y)), dataset.test)
    own = make_pipeline(StandardScaler(), Ridge()).fit(dataset.x[rows], dataset.y[rows])
    wanted = own.score(dataset.x[dataset.test], dataset.y[dataset.test])
    assert len(dataset.train) < len(rows)
    assert metrics["baseline_linear_test_r2"] == pytest.approx(wanted, rel=1e-9)
    assert not any(name.startswith("baseline_linear_validation_") for name in metrics)


def test_it_stops_when_asked(wave: Callable[[str], Recipe]) -> None:
    """The check is called while the MLP learns."""
    recipe = wave("[baseline]\n")
    dataset = prepare(recipe)
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    kan = new_network(dataset, recipe, inputs)

    def asked() -> None:
        raise Interrupted("asked")

    with pytest.raises(Interrupted):
        finish(kan, recipe, StepData.of(dataset, inputs, outputs, kan.dtype), asked)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[baseline]\ndepth = 3", "[baseline] depth = 3"),
        ('[baseline]\nactivation = "gelu"', '[baseline] activation = "gelu"'),
        ('[baseline]\nkinds = ["forest"]', '[baseline] kinds, entry 1 = "forest": wanted "trivial", "linear"'),
        ("[baseline]\nkinds = []", "kinds is empty"),
        ('[baseline]\nkinds = ["linear", "linear"]', "wanted each name once"),
        ('[baseline]\nkinds = ["linear"]\ndepth = 1', 'depth: only with "mlp" in kinds'),
    ],
)
def test_wrong_keys_are_refused(wave: Callable[[str], Recipe], section: str, message: str) -> None:
    """Before anything is read, with what came and what was wanted."""
    with pytest.raises(RecipeError, match=re.escape(message)):
        wave(section)
