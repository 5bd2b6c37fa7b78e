"""What an estimator shows of what it learned, against its own answers."""

import ast
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.inspection import partial_dependence

from training import KANClassifier, KANRegressor
from training.steps.state import StepFailed

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def regressor(people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]) -> KANRegressor:
    """Fitted to paid."""
    return KANRegressor(**quick).fit(inputs, people["paid"])


@pytest.fixture(scope="module")
def classifier(people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]) -> KANClassifier:
    """Fitted to kind."""
    return KANClassifier(**quick).fit(inputs, people["kind"])


def test_the_effect_of_a_column_is_its_partial_dependence(quick: dict[str, Any]) -> None:
    """That of scikit-learn, at the same values over the same rows."""
    x = np.random.default_rng(0).normal(size=(100, 2))
    model = KANRegressor(**quick).fit(x, np.sin(x[:, 0]) + x[:, 1])
    found = model.effect("x0")
    theirs = partial_dependence(model, x, [0], custom_values={0: found.values.index.to_numpy()}, method="brute")
    np.testing.assert_allclose(found.values["y"], theirs["average"][0], rtol=1e-5, atol=1e-6)
    assert found._repr_png_().startswith(PNG)


def test_words_and_dates_have_effects(regressor: KANRegressor, classifier: KANClassifier) -> None:
    """Of words the index holds the words; of a date each of its numbers is a column; of classes there are as many."""
    towns = regressor.effect("town").values["paid"]
    assert set(towns.index) == {"Bonn", "Ulm", "(empty)"}
    assert towns["Ulm"] - towns["Bonn"] == pytest.approx(4, abs=1)
    assert regressor.effect("day: month").values.index.name == "day: month"
    assert list(classifier.effect("age").values.columns) == ["little", "much"]
    np.testing.assert_allclose(classifier.effect("age").values.sum(axis=1), 1)


def test_contributions_add_up(
    regressor: KANRegressor, classifier: KANClassifier, people: pd.DataFrame, inputs: pd.DataFrame
) -> None:
    """To the answer less the baseline; rows keep their index."""
    asked = inputs.iloc[50:60]
    found = regressor.explain(asked)
    assert list(found.index) == list(asked.index)
    np.testing.assert_allclose(found[list(inputs.columns)].sum(axis=1), found["answer"] - found["baseline"], atol=1e-9)
    np.testing.assert_allclose(found["answer"], regressor.predict(asked), atol=1e-4)
    of_classes = classifier.explain(asked)
    gaps = of_classes["much"]["answer"] - of_classes["little"]["answer"]
    probabilities = classifier.predict_proba(asked)
    np.testing.assert_allclose(gaps, np.log(probabilities[:, 1] / probabilities[:, 0]), rtol=1e-3, atol=1e-3)


def test_the_network_is_drawn(regressor: KANRegressor, tmp_path: Any) -> None:
    """As a picture that shows itself and can be saved."""
    picture = regressor.plot()
    assert picture._repr_png_().startswith(PNG)
    picture.save(tmp_path / "network.svg")
    assert "<svg" in (tmp_path / "network.svg").read_text()


def test_a_law_is_found_as_a_formula() -> None:
    """In the names of the columns; without one the error says how to look for it."""
    # Models read float32, so the law is that of the rounded numbers.
    x = pd.DataFrame({"a": np.random.default_rng(0).uniform(-2, 2, 300).astype(np.float32).astype(np.float64)})
    quick = {"symbolic": {"seeds": 1, "functions": ["x", "x^2", "sin"]}}
    model = KANRegressor(symbolic=True, hidden=(), recipe=quick).fit(x, (3 * np.sin(x["a"]) + 7).rename("y"))
    # A phase of 1e-9 is rounding.
    assert re.fullmatch(r"y = 3\*sin\(a( [+-] \d\.\d+e-\d+)?\) \+ 7", str(model.formula()))
    assert model.formula()._repr_latex_().startswith(r"$3 \sin{\left(")
    np.testing.assert_allclose(model.predict(x), 3 * np.sin(x["a"]) + 7, atol=1e-5)


BY_EDGE: dict[str, Any] = {
    "fit": {"optimizer": "lbfgs"},
    "sparsify": None,
    "prune": None,
    "symbolic": {"choice": "by-edge", "functions": ["x"], "max_loss_increase": 1e9},
}


def test_a_fit_without_a_formula_warns_with_an_argument_that_gives_one() -> None:
    """A sine by lines: no command line is advised, and what is advised works as it is written."""
    a = np.random.default_rng(0).uniform(-2.4, 2.4, (300, 1))
    y = 3 * np.sin(a[:, 0]) + 7
    keys: dict[str, Any] = {"symbolic": True, "hidden": (), "grids": (4,), "steps": 20}
    with pytest.warns(UserWarning, match="no formula was found, and the network answers by its splines: ") as caught:
        model = KANRegressor(**keys, recipe=BY_EDGE).fit(a, y)
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match="the network has no formula: ") as told:
        model.formula()
    for text in (str(caught[0].message), str(told.value), model.report().html):
        assert "kan-train formula" not in text
        assert "still splines" in text
    advised = re.search(r"to take all of them: fit with recipe=(\{.*?\}\})", str(told.value))
    assert advised is not None
    (found,) = ast.literal_eval(advised[1]).items()
    recipe = BY_EDGE | {found[0]: BY_EDGE[found[0]] | found[1]}
    assert str(KANRegressor(**keys, recipe=recipe).fit(a, y).formula()).startswith("y = ")


def test_columns_of_words_are_named_where_no_formula_was_found(people: pd.DataFrame) -> None:
    """A fit to the numbers alone, which follow a line, finds one and warns of nothing."""
    town = (people["town"] == "Ulm").to_numpy()
    inputs = people[["age", "town"]]
    y = (people["age"] / 10 + 6 * town * np.sin(people["age"] / 9)).rename("y")
    keys: dict[str, Any] = {"symbolic": True, "hidden": (), "grids": (4,), "steps": 20, "recipe": BY_EDGE}
    with pytest.warns(UserWarning, match='few formulas have such inputs; try without "town"$'):
        KANRegressor(**keys).fit(inputs, y)
    model = KANRegressor(**keys).fit(inputs[["age"]], people["age"] / 10)
    assert "age" in str(model.formula())


def test_many_edges_are_told_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`verbose=True` says beforehand how long the search takes, in the words of an estimator."""
    a = np.random.default_rng(0).uniform(-2, 2, (40, 3))
    sections = BY_EDGE | {"symbolic": {"choice": "by-edge", "functions": ["x"], "min_r2": 1e-9}}
    keys: dict[str, Any] = {"hidden": (13,), "grids": (3,), "steps": 1, "members": 1, "recipe": sections}
    KANRegressor(symbolic=True, verbose=True, **keys).fit(a, a[:, 0])
    text = " ".join(capsys.readouterr().err.split())
    assert "52 edges" in text
    assert "hardly readable, and fewer columns or nodes leave fewer" in text


def test_a_formula_that_must_be_served_is_refused_without_options_of_a_command() -> None:
    """No run is kept that --resume could go on with."""
    a = np.random.default_rng(0).uniform(-1, 1, (60, 1))
    sections: dict[str, Any] = {"formula": {"serve": True}, "symbolic": {"choice": "by-edge", "functions": ["x"]}}
    model = KANRegressor(symbolic=True, hidden=(), grids=(4,), steps=20, recipe=sections)
    with pytest.raises(StepFailed, match="or leave out serve; then fit again") as caught:
        model.fit(a, np.abs(a[:, 0]))
    assert "--" not in str(caught.value)


def test_no_formula_is_told(regressor: KANRegressor) -> None:
    """With the way to one."""
    with pytest.raises(ValueError, match=r"no formula: KANRegressor\(symbolic=True\) looks for one"):
        regressor.formula()


def test_an_unknown_column_is_named(regressor: KANRegressor) -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match='there is no column "agee" that varies; wanted one of'):
        regressor.effect("agee")


@pytest.mark.parametrize("ask", ["plot", "formula", "report"])
def test_nothing_is_shown_before_a_fit(ask: str) -> None:
    """scikit-learn's own error."""
    with pytest.raises(NotFittedError):
        getattr(KANRegressor(), ask)()
    with pytest.raises(NotFittedError):
        KANRegressor().export("models/houses")
