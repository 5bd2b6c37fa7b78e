"""`monotone=` of the estimators: answers keep their order, clones keep the parameter, mistakes have a name."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from training import KANClassifier, KANRegressor


def ordered(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether no answer falls by more than the rounding of float64."""
    return bool((before - after).max() <= 1e-12 * np.ptp(before))


def test_a_regressor_keeps_the_order(people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]) -> None:
    """Of any rows, of a clone and of a pickle; paid itself waves with age."""
    model = clone(KANRegressor(**quick, monotone={"age": "up", "height": "down"})).fit(inputs, people["paid"])
    older, taller = inputs.copy(), inputs.copy()
    older["age"] += np.linspace(0, 300, len(inputs))
    taller["height"] += 7.0
    for each in (model, pickle.loads(pickle.dumps(model))):
        assert ordered(each.predict(inputs), each.predict(older))
        assert ordered(each.predict(taller), each.predict(inputs))
    # It learns on by what the parameter says.
    model.set_params(warm_start=True).fit(inputs, -people["age"])
    assert ordered(model.predict(inputs), model.predict(older))


def test_a_classifier_raises_the_second_class(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]
) -> None:
    """In the order of classes_, as a single network."""
    model = KANClassifier(**(quick | {"members": 1}), monotone={"age": "down"}).fit(inputs, people["kind"])
    older = inputs.assign(age=inputs["age"] + 25)
    assert list(model.classes_) == ["little", "much"]
    assert ordered(model.predict_proba(older)[:, 1], model.predict_proba(inputs)[:, 1])
    assert ordered(model.predict_proba(inputs)[:, 0], model.predict_proba(older)[:, 0])


def test_columns_of_an_array_have_numbers(quick: dict[str, Any]) -> None:
    """x0 is the first."""
    x = np.random.default_rng(0).uniform(-1, 1, (80, 2))
    model = KANRegressor(**quick, monotone={"x0": "up"}).fit(x, np.sin(5 * x[:, 0]) + x[:, 1])
    assert ordered(model.predict(x), model.predict(x + np.array([0.3, 0.0])))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"weight": "up"},
            'monotone has "weight", which is no column of X; wanted some of "age", .*are x0, x1 and so on',
        ),
        ({0: "up"}, 'monotone has "0", which is no column of X; wanted some of "age"'),
        ({"town": "up"}, '"town", a column of words'),
        ({"day": "up"}, '"day", a column of dates'),
        ({"age": "rising"}, 'wanted "up" or "down"'),
        (["age"], r"monotone is \['age'\]; wanted directions by column"),
    ],
)
def test_mistakes_have_a_name(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any], given: Any, message: str
) -> None:
    """As ValueError, before any fit."""
    with pytest.raises(ValueError, match=message):
        KANRegressor(**quick, monotone=given).fit(inputs, people["paid"])


def test_true_and_false_are_asked_for_as_numbers(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]
) -> None:
    """They are words here; as numbers they rise from 0 to 1."""
    rich = inputs.assign(rich=people["paid"] > people["paid"].median())
    with pytest.raises(ValueError, match='"rich", a column of true and false, which are words; wanted 1 and 0'):
        KANRegressor(**quick, monotone={"rich": "up"}).fit(rich, people["paid"])
    rich["rich"] = rich["rich"].astype(int)
    model = KANRegressor(**quick, monotone={"rich": "up"}).fit(rich, people["paid"])
    assert ordered(model.predict(rich.assign(rich=0)), model.predict(rich.assign(rich=1)))


def test_additive_does_not_go_with_it(people: pd.DataFrame, inputs: pd.DataFrame) -> None:
    """The curves of its fit may turn."""
    with pytest.raises(ValueError, match="monotone: not with additive = true, whose curves may turn; leave one"):
        KANRegressor(additive=True, monotone={"age": "up"}).fit(inputs, people["paid"])


def test_a_formula_does_not_go_with_it(people: pd.DataFrame, inputs: pd.DataFrame) -> None:
    """symbolic=True asks for functions that may turn."""
    with pytest.raises(ValueError, match=r"monotone: not with \[symbolic\]"):
        KANRegressor(symbolic=True, monotone={"age": "up"}).fit(inputs, people["paid"])


def test_an_export_that_breaks_a_promise_warns_before_it_publishes(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any], tmp_path: Path
) -> None:
    """Where warnings are errors, nothing is published. With the argument that the warning names there is none."""
    keys: dict[str, Any] = quick | {"steps": 2, "recipe": {"lowering": {"tune_for": []}}}
    folder = tmp_path / "models" / "paid"
    KANRegressor(**keys, monotone={"age": "up", "height": "down"}).fit(inputs, people["paid"]).export(folder)
    other = KANRegressor(**keys, monotone={"age": "down"}).fit(inputs, people["paid"])
    said = (
        r'models/paid: version 1 promises what the next one does not: "age": .* never falls .*\(now it never rises\); '
        r'"height": .* never rises .*\(now it may\); if that is not meant, fit with '
        r'monotone=\{"age": "up", "height": "down"\}, and export that$'
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=said):
            other.export(folder)
        assert [each.name for each in folder.iterdir() if each.is_dir()] == ["1"]
    with pytest.warns(UserWarning, match=said) as told:
        assert other.export(folder).name == "2"
    assert [each.filename for each in told] == [__file__]
    other.export(folder)  # Warnings are errors here: version 3 promises what version 2 does.
