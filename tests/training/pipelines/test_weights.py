"""Weights of rows and classes, from the recipe to the manifest."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn import metrics as sk

from kan_model.onnx_runtime import run as run_model
from training.data.dataset import prepare
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe, load_recipe

Write = Callable[..., Path]


def publish(recipe: Recipe, folder: Path) -> Published:
    """Train and publish."""
    return train(Run(recipe, folder / "models", RunFolder(folder / "run")), Watcher())


def test_metrics_count_rows_by_their_weights(write_recipe: Write, tmp_path: Path) -> None:
    """Those of the manifest are scikit-learn's with sample_weight; the manifest and the report name the column."""
    path = write_recipe()
    table = pd.read_csv(tmp_path / "flowers.csv")
    table["count"] = np.random.default_rng(0).integers(0, 5, 200)
    table.to_csv(tmp_path / "flowers.csv", index=False)
    path.write_text(path.read_text().replace("[data]", '[data]\nweights = "count"') + "[prune]\n[baseline]\n")
    recipe = load_recipe(path)
    published = publish(recipe, tmp_path)
    dataset, found = prepare(recipe), published.manifest.metrics
    assert dataset.weights is not None
    truth, weights = dataset.y[dataset.test], dataset.weights[dataset.test]
    answers = run_model(onnx.load(published.folder / "model.onnx"), dataset.x[dataset.test].astype(np.float32))
    assert found["test_r2"] == pytest.approx(sk.r2_score(truth, answers, sample_weight=weights), rel=1e-4)
    assert found["test_mae"] == pytest.approx(sk.mean_absolute_error(truth, answers, sample_weight=weights), rel=1e-4)
    assert published.manifest.objective.weights == "count"
    assert b"<td>count</td>" in (published.folder / "report.html").read_bytes()


def test_balanced_classes_are_found_more_often(write_recipe: Write, tmp_path: Path) -> None:
    """Of rare rows among noise more are found; the metrics count rows as they come."""
    path = write_recipe(target="kind", kind="classification", steps=40)
    table = pd.read_csv(tmp_path / "flowers.csv")
    noise = np.random.default_rng(1).normal(0, 4, 200)
    table["kind"] = np.where(table["length"] + noise > 10, "rare", "usual")
    table.to_csv(tmp_path / "flowers.csv", index=False)
    text, recall = path.read_text() + '[split]\nkind = "stratified"\n', []
    for place, keys in enumerate(("[task]", '[task]\nclass_weights = "balanced"')):
        path.write_text(text.replace("[task]", keys))
        recipe = load_recipe(path)
        published, dataset = publish(recipe, tmp_path / str(place)), prepare(recipe)
        rows = dataset.x.astype(np.float32)
        answers = run_model(onnx.load(published.folder / "model.onnx"), rows)
        recall.append(sk.recall_score(dataset.y, answers.argmax(axis=1), pos_label=0))
        accuracy = sk.accuracy_score(dataset.y[dataset.test], answers.argmax(axis=1)[dataset.test])
        assert published.manifest.metrics["test_accuracy"] == pytest.approx(accuracy)
    assert recall[1] > recall[0] + 0.2, table["kind"].value_counts()
    shares = np.bincount(dataset.y[dataset.train]) / len(dataset.train)
    np.testing.assert_allclose(published.manifest.objective.class_weights, 0.5 / shares)
