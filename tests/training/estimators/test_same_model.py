"""The same rows and the same seed give the same model by a recipe and by an estimator, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kan_model.network import checkpoint
from training import KANClassifier, KANRegressor
from training.data.dataset import prepare
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe, parse_recipe


def run_recipe(text: str, folder: Path) -> tuple[Recipe, bytes]:
    """The recipe of an estimator, run as `kan-train run` does; and network.safetensors of its version."""
    recipe = parse_recipe(text + "\n[lowering]\ntune_for = []\n", folder=folder, name="recipe_")
    published = train(Run(recipe, folder / "models", RunFolder(folder / "run")), Watcher())
    return recipe, (published.folder / "network.safetensors").read_bytes()


def network(model: Any) -> dict[str, np.ndarray]:
    """All parameters of the fitted network."""
    return {name: values.numpy() for name, values in model._fit.trained.kan.state_dict().items()}


@pytest.mark.parametrize("kind", [KANRegressor, KANClassifier])
def test_an_estimator_fits_as_the_refit_of_a_recipe(
    kind: Any, people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any], tmp_path: Path
) -> None:
    """The recipe that it followed, run on the same table, ends in the same network: its last fit holds out nothing."""
    target = "paid" if kind is KANRegressor else "kind"
    model = kind(**quick).fit(inputs, people[target])
    people.to_csv(tmp_path / "rows.csv", index=False)
    _, published = run_recipe(model.recipe_, tmp_path)
    theirs = checkpoint.from_bytes(published).state_dict()
    ours = network(model)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values.numpy(), err_msg=name)


# Two plans whose out-of-fold answers compete, in place of the drafted ones, which take longer.
SEARCHED: dict[str, Any] = {
    "search": True,
    "steps": 10,
    "grids": None,
    "recipe": {"search": {"candidates": [{"grids": [3]}, {"grids": [5]}]}},
}
# A sum of curves, which takes no key of another fit.
ADDITIVE: dict[str, Any] = {"additive": True} | dict.fromkeys(
    ("hidden", "grids", "steps", "batch_rows", "members", "learning_rate", "weight_decay")
)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (KANRegressor, {"members": 1}),
        (KANRegressor, {"members": 2}),
        (KANRegressor, SEARCHED),
        (KANClassifier, SEARCHED),
        (KANRegressor, {"monotone": {"age": "up"}}),
        (KANRegressor, {"coverage": 0.9}),
        (KANRegressor, ADDITIVE),
        (KANClassifier, ADDITIVE),
    ],
    ids=["single", "members", "searched", "classes searched", "monotone", "bounds", "curves", "curves of classes"],
)
def test_an_eval_set_is_the_validation_part(
    kind: Any,
    parameters: dict[str, Any],
    people: pd.DataFrame,
    inputs: pd.DataFrame,
    quick: dict[str, Any],
    tmp_path: Path,
) -> None:
    """With the training and the validation rows of a recipe the network is that of the recipe."""
    target = "paid" if kind is KANRegressor else "kind"
    people = people.fillna({"town": "Ulm"})  # In the parts of the recipe are the same words as in the whole table.
    inputs = people[inputs.columns]
    parameters = quick | parameters
    text = kind(**parameters).fit(inputs, people[target]).recipe_.replace("refit = true", "")
    assert ("[[search.candidates]]" in text) == parameters["search"]
    people.to_csv(tmp_path / "rows.csv", index=False)
    recipe, published = run_recipe(text, tmp_path)
    parts = prepare(recipe)
    train_rows, validation_rows = people.iloc[parts.train], people.iloc[parts.validation]
    columns = list(inputs.columns)
    model = kind(**parameters).fit(
        train_rows[columns], train_rows[target], eval_set=[(validation_rows[columns], validation_rows[target])]
    )
    theirs = checkpoint.from_bytes(published).state_dict()
    ours = network(model)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values.numpy(), err_msg=name)


def test_a_single_network_holds_out_no_test_rows(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]
) -> None:
    """15 % of the rows choose its best step, and all others train."""
    dataset = KANRegressor(**(quick | {"members": 1})).fit(inputs, people["paid"])._fit.dataset
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (170, 30, 0)
