"""Weights of rows and classes: what is refused, and what the fit sees."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from kan_model.network.transform import Affine
from training.data.dataset import Dataset, prepare
from training.data.preparation import input_transform, output_transform, samples
from training.data.weights import weigh_classes
from training.errors import DataError
from training.recipe.config import load_recipe

Write = Callable[..., Path]


def read(write_recipe: Write, weights: np.ndarray, task: str = "", **keys: str) -> Dataset:
    """The flowers with a column of weights."""
    path = write_recipe(**keys)
    table = pd.read_csv(path.parent / "flowers.csv")
    table["count"] = weights
    table.to_csv(path.parent / "flowers.csv", index=False)
    path.write_text(
        path.read_text().replace("[data]", '[data]\nweights = "count"').replace("[task]", f"[task]\n{task}")
    )
    return prepare(load_recipe(path))


def test_the_fit_sees_weights_of_mean_1_in_each_part(write_recipe: Write) -> None:
    """The unit of the weights does not matter, nor their mean in a part."""
    raw = np.random.default_rng(0).uniform(0, 1000, 200)
    dataset = read(write_recipe, raw)
    for rows in (dataset.train, dataset.validation):
        weights = samples(dataset, rows, None, None, torch.float64).weights
        assert weights is not None
        np.testing.assert_allclose(weights, raw[rows] / raw[rows].mean())


def test_mean_and_deviation_of_the_target_are_weighted(write_recipe: Write) -> None:
    """They are those of a table in which a row of weight 2 stands twice."""
    counts = np.random.default_rng(0).integers(0, 4, 200)
    dataset = read(write_recipe, counts)
    outputs = output_transform(dataset)
    assert isinstance(outputs, Affine)
    again = np.repeat(dataset.y[dataset.train], counts[dataset.train], axis=0)
    np.testing.assert_allclose([outputs.center, outputs.scale], [again.mean(axis=0), again.std(axis=0)], rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "why"),
    [(-0.5, r"row 3 \(line 4\) holds -0.5"), (np.nan, r"row 3 \(line 4\) is empty"), (np.inf, r"row 3 .*holds inf")],
)
def test_a_weight_that_is_none_is_refused(write_recipe: Write, value: float, why: str) -> None:
    """The message names the column and the first such row."""
    weights = np.ones(200)
    weights[[2, 7]] = value
    with pytest.raises(DataError, match=f'"count": .*{why}'):
        read(write_recipe, weights)


def test_weights_that_count_nothing_are_refused(write_recipe: Write) -> None:
    """All 0, or all 0 in one part, which then could neither train, choose nor judge; or one target only."""
    with pytest.raises(DataError, match=r'"count": .* all 200 rows have weight 0'):
        read(write_recipe, np.zeros(200))
    dataset = read(write_recipe, np.ones(200))
    weights = np.ones(200)
    weights[dataset.validation] = 0
    with pytest.raises(DataError, match=r'"count": .* all 30 validation rows have weight 0'):
        read(write_recipe, weights)
    weights = np.where(np.arange(200) == dataset.train[0], 1.0, 0.0)
    weights[[dataset.validation[0], dataset.test[0]]] = 1
    with pytest.raises(DataError, match="the target is the same in every training row"):
        read(write_recipe, weights)


def test_a_dropped_row_needs_no_weight(write_recipe: Write) -> None:
    """Rows that the recipe drops for another reason may lack theirs."""
    weights = np.ones(200)
    weights[::10] = np.nan  # The rows whose width is missing.
    assert read(write_recipe, weights, missing="drop_rows").dropped_rows == 20


def test_another_weight_is_another_run(write_recipe: Write) -> None:
    """The fingerprint, by which a run is gone on with, covers the weights; without them it is that of before."""
    plain = prepare(load_recipe(write_recipe()))
    prints = {read(write_recipe, weights).fingerprint for weights in (np.ones(200), np.full(200, 2.0))}
    assert len(prints | {plain.fingerprint}) == 3


def test_balanced_classes_are_those_of_scikit_learn() -> None:
    """Rows / (classes · rows of the class); with weights of rows, in these units."""
    y = np.array([0] * 30 + [1] * 9 + [2])
    classes = ("a", "b", "c")
    found = weigh_classes("t.csv", "balanced", classes, y, None)
    np.testing.assert_allclose(np.array(found), compute_class_weight("balanced", classes=np.arange(3), y=y))
    weights = np.arange(40, dtype=np.float64) % 3 + 0.5
    sums = np.bincount(y, weights)
    np.testing.assert_allclose(np.array(weigh_classes("t.csv", "balanced", classes, y, weights)) * sums, sums.sum() / 3)


def test_a_class_without_rows_changes_no_other() -> None:
    """Of a version that is trained further, some classes may have no new row."""
    y = np.array([0, 0, 0, 2])
    assert weigh_classes("t.csv", "balanced", ("a", "b", "c"), y, None) == pytest.approx((2 / 3, 1, 2))


def test_classes_by_name(write_recipe: Write) -> None:
    """A table gives some classes a weight; rows of these count as often. A name that is no class is refused."""
    task = "class_weights = { big = 3 }"
    dataset = read(write_recipe, np.ones(200), task, target="kind", kind="classification")
    assert dataset.class_weights == (3.0, 1.0)
    weights = samples(dataset, dataset.train, input_transform(dataset, "none"), None, torch.float64).weights
    assert weights is not None
    assert float(weights.mean()) == pytest.approx(1)
    ratio = weights[dataset.y[dataset.train] == 0].max() / weights[dataset.y[dataset.train] == 1].max()
    assert float(ratio) == pytest.approx(3)
    with pytest.raises(DataError, match='"huge", which is none of the classes "big", "small"'):
        read(write_recipe, np.ones(200), "class_weights = { huge = 3 }", target="kind", kind="classification")
