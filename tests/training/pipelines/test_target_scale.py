"""A target on a log scale, from the recipe to the served graph."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from kan_model.network import checkpoint
from kan_model.onnx_runtime import run as run_model
from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform
from training.errors import TrainingError
from training.fitting.fit import fit
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder, identity_of
from training.pipelines.train import train
from training.pipelines.tune import tune
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe, load_recipe
from training.steps import StepData

Write = Callable[..., Path]


def read(path: Path, keys: str, sections: str = "") -> Recipe:
    """The recipe of flowers with positive weights, with further keys of [task] and further sections."""
    table = pd.read_csv(path.parent / "flowers.csv")
    table["weight"] = np.exp(table["weight"] / 10)
    table.to_csv(path.parent / "flowers.csv", index=False)
    path.write_text(path.read_text().replace("[task]", f"[task]\n{keys}") + sections)
    return load_recipe(path)


def publish(recipe: Recipe, folder: Path) -> Published:
    """Train and publish."""
    return train(Run(recipe, folder / "models", RunFolder(folder / "run")), Watcher())


def test_a_version_answers_in_raw_units(write_recipe: Write, tmp_path: Path) -> None:
    """The graph ends in an exp, agrees with torch in float64, and its metrics are those of its own answers."""
    recipe = read(write_recipe(steps=20), 'target_scale = "log"')
    published = publish(recipe, tmp_path)
    dataset, manifest = prepare(recipe), published.manifest
    rows = dataset.x[dataset.test].astype(np.float32)
    answers = run_model(onnx.load(published.folder / "model.onnx"), rows)
    content = (published.folder / "network.safetensors").read_bytes()
    inputs, outputs = checkpoint.transforms(content)
    assert inputs is not None
    assert outputs is not None
    with torch.no_grad():
        exact = outputs(checkpoint.from_bytes(content).double()(inputs(torch.from_numpy(rows).double()))).numpy()
    np.testing.assert_allclose(answers, exact, rtol=1e-5)
    truth = dataset.y[dataset.test]
    assert manifest.objective.target_scale == "log"
    assert manifest.metrics["test_rmse"] == pytest.approx(np.sqrt(np.mean((answers - truth) ** 2)), rel=1e-4)
    log_rmse = np.sqrt(np.mean((np.log(answers) - np.log(truth)) ** 2))
    assert manifest.metrics["test_log_rmse"] == pytest.approx(log_rmse, rel=1e-4)
    page = (published.folder / "report.html").read_bytes()
    assert b"log RMSE" in page
    assert b"fitted to logarithms" in page


def test_a_version_is_tuned_with_its_exp(write_recipe: Write, tmp_path: Path) -> None:
    """The next version answers the same; its errors are divided by the range of the logarithms, which is kept."""
    first = publish(read(write_recipe(), 'target_scale = "log"'), tmp_path)
    second = tune(first.folder, [1])
    rows = np.random.default_rng(0).uniform(1, 9, (20, 5)).astype(np.float32)
    answers = [run_model(onnx.load(each.folder / "model.onnx"), rows) for each in (first, second)]
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-4)
    assert second.manifest.lowering.output_scale == first.manifest.lowering.output_scale
    assert second.manifest.objective.target_scale == "log"


def test_it_is_the_network_of_the_logarithms(write_recipe: Write, tmp_path: Path) -> None:
    """The same fit as a linear scale on a column of logarithms, to the bit: only the last step differs."""
    log = read(write_recipe(), 'target_scale = "log"')
    table = pd.read_csv(tmp_path / "flowers.csv")
    found = []
    for recipe in (log, None):
        if recipe is None:
            table["weight"] = np.log(table["weight"])
            table.to_csv(tmp_path / "flowers.csv", index=False)
            recipe = load_recipe(write_linear(tmp_path))
        dataset = prepare(recipe)
        inputs = input_transform(dataset, "minmax")
        kan = new_network(dataset, recipe, inputs)
        rows = StepData.of(dataset, inputs, output_transform(dataset), kan.dtype)
        found.append(fit(kan, rows.train, rows.validation, recipe.fit, dataset.task).best)
    x = torch.linspace(-1, 1, 30).reshape(6, 5)
    torch.testing.assert_close(found[0](x), found[1](x), rtol=1e-4, atol=1e-5)


def write_linear(folder: Path) -> Path:
    """The recipe of `read` without its scale."""
    path = folder / "linear.toml"
    path.write_text((folder / "flowers.toml").read_text().replace('target_scale = "log"\n', ""))
    return path


def test_the_default_is_the_linear_scale_of_before(write_recipe: Write, tmp_path: Path) -> None:
    """Without the key and with its default: one identity, so that runs begun before are gone on with; and one graph."""
    path = write_recipe()
    recipes = [read(path, ""), load_recipe(path)]
    path.write_text(path.read_text().replace("[task]", '[task]\ntarget_scale = "linear"'))
    recipes[1] = load_recipe(path)
    assert len({identity_of(recipe, prepare(recipe)) for recipe in recipes}) == 1
    graphs = {
        (publish(recipe, tmp_path / str(place)).folder / "model.onnx").read_bytes()
        for place, recipe in enumerate(recipes)
    }
    assert len(graphs) == 1
    path.write_text(path.read_text().replace('"linear"', '"log"'))
    assert identity_of(load_recipe(path), prepare(load_recipe(path))) != identity_of(recipes[0], prepare(recipes[0]))


def test_a_version_learns_on_by_its_own_scale_only(write_recipe: Write, tmp_path: Path) -> None:
    """A recipe of another scale is refused by the key; with the same scale the next version has its exp too."""
    recipe = read(write_recipe(), 'target_scale = "log"')
    publish(recipe, tmp_path)
    text = (
        (tmp_path / "flowers.toml")
        .read_text()
        .replace('name = "flowers"', 'name = "flowers"\ncontinue_from = "models/flowers/1"')
    )
    text = text.replace("[network]\nhidden = [3]\n", "").replace("grids = [3]\n", "")
    for scale, name in (('target_scale = "log"', "on.toml"), ("", "other.toml")):
        (tmp_path / name).write_text(text.replace('target_scale = "log"', scale))
    with pytest.raises(TrainingError, match=r'target_scale = "log"; the recipe has "linear"'):
        publish(load_recipe(tmp_path / "other.toml"), tmp_path)
    second = publish(load_recipe(tmp_path / "on.toml"), tmp_path)
    before = tmp_path / "models" / "flowers" / "1"
    kept = [
        checkpoint.transforms((folder / "network.safetensors").read_bytes())[1] for folder in (before, second.folder)
    ]
    np.testing.assert_array_equal(vars(kept[0])["center"], vars(kept[1])["center"])
    assert type(kept[0]) is type(kept[1])
    assert second.manifest.objective.target_scale == "log"
