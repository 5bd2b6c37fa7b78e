"""Fit, answers and scikit-learn's manners, on tables as people have them."""

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training import KANClassifier, KANRegressor
from training.recipe.config import parse_recipe


def test_words_gaps_and_dates_are_inputs_as_a_recipe_takes_them(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any], tmp_path: Any
) -> None:
    """The recipe that was followed says so, and the answers follow the words and the numbers."""
    model = KANRegressor(**quick).fit(inputs, people["paid"])
    recipe = parse_recipe(model.recipe_, folder=tmp_path, name="recipe_")
    assert recipe.data.columns == ("age", "height", "town", "day")
    assert (recipe.data.missing, recipe.data.unseen) == ("indicator", "other")
    assert recipe.data.categories == {"town": ("", "Bonn", "Ulm")}
    assert recipe.data.dates == {"day": "iso"}
    assert recipe.data.target == "paid"
    assert model.score(inputs, people["paid"]) > 0.9
    moved = inputs.assign(town="Ulm")
    assert (model.predict(moved) - model.predict(inputs.assign(town="Bonn"))).mean() == pytest.approx(4, abs=1)


def test_a_cell_that_training_never_saw_is_answered(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]
) -> None:
    """An unseen word is "other", a gap in a column that had none is filled."""
    model = KANRegressor(**quick).fit(inputs, people["paid"])
    strange = inputs.head(3).assign(age=np.nan, town="Rome")
    assert np.isfinite(model.predict(strange)).all()


def test_labels_come_back_as_they_were_given(people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]) -> None:
    """Words, numbers and booleans: classes_ is sorted, and the probabilities are in its order and add up to 1."""
    for labels in (people["kind"], people["paid"] > 2, (people["paid"] > 2) * 9 - 10, (people["paid"] > 2) * 2.0):
        model = KANClassifier(**quick).fit(inputs, labels)
        assert model.classes_.tolist() == np.unique(labels).tolist()
        assert model.classes_.dtype == np.unique(labels).dtype
        probabilities = model.predict_proba(inputs)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
        assert (model.predict(inputs) == model.classes_[probabilities.argmax(axis=1)]).all()
        assert model.score(inputs, labels) > 0.9


def test_ten_is_a_class_behind_nine(quick: dict[str, Any]) -> None:
    """Labels that are texts of numbers: classes_ sorts texts, the published classes sort numbers."""
    x = np.random.default_rng(0).normal(size=(90, 2))
    labels = np.array(["9", "10", "100"])[np.digitize(x[:, 0], [-0.4, 0.4])]
    model = KANClassifier(**quick).fit(x, labels)
    assert model.classes_.tolist() == ["10", "100", "9"]
    assert model.score(x, labels) > 0.9


def test_an_array_and_a_frame_of_the_same_numbers_are_the_same_model(quick: dict[str, Any]) -> None:
    """So are lists. Names make no difference to the numbers."""
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = x[:, 0] * 2 + np.abs(x[:, 1])
    given = [x, pd.DataFrame(x, columns=["a", "b", "c"]), x.tolist()]
    answers = [KANRegressor(**quick).fit(each, y).predict(each) for each in given]
    assert (answers[0] == answers[1]).all()
    assert (answers[0] == answers[2]).all()


def test_arrays_may_hold_words(quick: dict[str, Any]) -> None:
    """An array of objects with numbers and words is read as a table is."""
    random = np.random.default_rng(0)
    x = np.array([[number, word] for number, word in zip(random.normal(size=80), ["a", "b"] * 40, strict=True)], object)
    y = (x[:, 1] == "a") * 3.0
    assert KANRegressor(**quick).fit(x, y).score(x.tolist(), y) > 0.9


def test_several_targets_are_one_network(quick: dict[str, Any]) -> None:
    """The answers have a column for each target."""
    x = np.random.default_rng(0).normal(size=(100, 2))
    y = np.stack([x[:, 0], x[:, 1] ** 2], axis=1)
    model = KANRegressor(**quick).fit(x, y)
    assert model.predict(x).shape == (100, 2)
    assert model.score(x, y) > 0.9


def test_parameters_and_clones(quick: dict[str, Any]) -> None:
    """A clone has the parameters and no fit; a changed parameter takes effect at the next fit."""
    model = KANRegressor(**quick).set_params(hidden=(2,), random_state=3)
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    x = np.random.default_rng(0).normal(size=(40, 2))
    model.fit(x, x[:, 0])
    assert "hidden = [2]" in model.recipe_
    assert "seed = 3" in model.recipe_
    assert not hasattr(copied, "recipe_")


def test_a_pickled_model_gives_the_same_answers(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]
) -> None:
    """Bit for bit."""
    model = KANClassifier(**quick).fit(inputs, people["kind"])
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(inputs) == model.predict_proba(inputs)).all()


def test_the_same_seed_gives_the_same_model(quick: dict[str, Any]) -> None:
    """And another seed another one."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    first, same, other = (KANRegressor(**quick, random_state=s).fit(x, x[:, 0]).predict(x) for s in (None, 0, 1))
    assert (first == same).all()
    assert (first != other).any()


def test_pipelines_searches_and_cross_validation(quick: dict[str, Any]) -> None:
    """A step of a pipeline, searched over a parameter by its cross-validated score."""
    x = np.random.default_rng(0).normal(size=(120, 2))
    y = np.sin(x[:, 0])
    pipeline = make_pipeline(StandardScaler(), KANRegressor(**quick))
    search = GridSearchCV(pipeline, {"kanregressor__steps": [1, 60]}, cv=2).fit(x, y)
    assert search.best_params_ == {"kanregressor__steps": 60}
    assert cross_val_score(search.best_estimator_, x, y, cv=2).min() > 0.5


def test_plans_compete_unless_they_are_told_not_to(quick: dict[str, Any]) -> None:
    """The drafted candidates are those of `kan-train init`, without the keys that were asked for."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    model = KANRegressor(hidden=(2,), steps=2, members=2).fit(x, x[:, 0])
    assert model.recipe_.count("[[search.candidates]]") > 1
    assert model.recipe_.count("steps") == 1
    assert "search" not in KANRegressor(**quick).fit(x, x[:, 0]).recipe_


def test_the_name_is_there_without_torch() -> None:
    """`import training` loads neither torch nor scikit-learn nor pandas."""
    code = (
        "import sys, training; assert 'KANRegressor' in dir(training); "
        "assert not {'torch', 'sklearn', 'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
