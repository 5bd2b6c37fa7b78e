"""additive=True: a sum of curves in scikit-learn's manner."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from tests.training.estimators.test_check_estimator import EXPECTED_FAILURES
from training import KANClassifier, KANRegressor
from training.publishing.repository import read_manifest

UNTIMED: dict[str, dict[str, Any]] = {"lowering": {"tune_for": []}}


def test_words_gaps_and_dates_are_columns_of_a_sum(people: pd.DataFrame, inputs: pd.DataFrame, tmp_path: Path) -> None:
    """The fit explains the target, which is a sum; its export is a version of one layer; a pickle answers the same."""
    model = KANRegressor(additive=True, recipe=UNTIMED).fit(inputs, people["paid"])
    assert model.score(inputs, people["paid"]) > 0.97
    assert "additive = true" in model.recipe_
    manifest = read_manifest(model.export(tmp_path / "models" / "paid"))
    assert manifest is not None
    assert len(manifest.network.width) == 2
    assert pickle.loads(pickle.dumps(model)).predict(inputs) == pytest.approx(model.predict(inputs))
    found = model.effect("age").values["paid"]
    truth = 5 * np.sin(found.index.to_numpy() / 12)
    assert np.corrcoef(found, truth)[0, 1] > 0.99


def test_classes_and_an_eval_set(people: pd.DataFrame, inputs: pd.DataFrame) -> None:
    """Rows of an eval_set train too, and each is judged by curves that did not see it."""
    half = len(people) // 2
    model = KANClassifier(additive=True, recipe=UNTIMED)
    model.fit(inputs[:half], people["kind"][:half], eval_set=(inputs[half:], people["kind"][half:]))
    assert model.score(inputs[half:], people["kind"][half:]) > 0.9


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"hidden": (4,)}, r"hidden: not with additive = true"),
        ({"steps": 5}, r"\[fit\] steps: not with \[network\] additive = true"),
        ({"members": 3}, r"\[ensemble\]: not with \[network\] additive = true"),
        ({"objective": "mae"}, r'objective = "mae": not with \[network\] additive = true'),
        ({"pairs": 101}, r"pairs"),
        ({"pairs": 1.5}, r"pairs"),
    ],
)
def test_parameters_of_other_fits_are_refused(parameters: dict[str, Any], words: str) -> None:
    """By name, at the fit."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(ValueError, match=words):
        KANRegressor(additive=True, **parameters).fit(x, x[:, 0])


def test_pairs_without_curves_are_refused() -> None:
    """By name, at the fit."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(ValueError, match=r"pairs: only with additive = true"):
        KANRegressor(pairs=1).fit(x, x[:, 0])


def test_of_one_column_there_is_no_pair() -> None:
    """`pairs` is an upper bound: the fit is that of the curve."""
    x = np.random.default_rng(0).normal(size=(40, 1))
    plain, paired = (KANRegressor(additive=True, pairs=each, recipe=UNTIMED).fit(x, x[:, 0]) for each in (0, 1))
    np.testing.assert_array_equal(paired.predict(x), plain.predict(x))


def test_pairs_fit_what_columns_do_together(people: pd.DataFrame, inputs: pd.DataFrame, tmp_path: Path) -> None:
    """Age counts in one town only: curves leave most of it, a pair does not; cloned, pickled, explained, exported."""
    paid = people["age"] / 10 * (inputs["town"] == "Ulm")
    alone = KANRegressor(additive=True, recipe=UNTIMED).fit(inputs, paid)
    model = clone(KANRegressor(additive=True, pairs=2, recipe=UNTIMED)).fit(inputs, paid)
    assert alone.score(inputs, paid) < 0.95
    assert model.score(inputs, paid) > 0.99
    assert "pairs = 2" in model.recipe_
    assert pickle.loads(pickle.dumps(model)).predict(inputs) == pytest.approx(model.predict(inputs))
    explained = model.explain(inputs[:20])
    whole = explained.drop(columns="answer").sum(axis=1)
    np.testing.assert_allclose(whole, model.predict(inputs[:20]), atol=1e-3)
    manifest = read_manifest(model.export(tmp_path / "models" / "paid"))
    assert manifest is not None
    assert {"age", "town"} in [{pair.first, pair.second} for pair in manifest.pairs]


@pytest.mark.slow
def test_pairs_learn_on_from_new_rows(tmp_path: Path) -> None:
    """With warm_start an optimizer moves curves and pairs to the new targets; the version is still such a sum."""
    random = np.random.default_rng(6)
    x = random.uniform(-1, 1, size=(300, 3))
    model = KANRegressor(additive=True, pairs=1, grids=(6,), warm_start=True, recipe=UNTIMED).fit(x, x[:, 0] * x[:, 1])
    moved = 2 * x[:, 0] * x[:, 1] + x[:, 2]
    before = np.mean((model.predict(x) - moved) ** 2)
    model.set_params(steps=150, learning_rate=0.02).fit(x, moved)
    assert np.mean((model.predict(x) - moved) ** 2) < 0.2 * before
    folder = model.export(tmp_path / "models" / "paid")
    manifest = read_manifest(folder)
    assert manifest is not None
    assert [(pair.first, pair.second) for pair in manifest.pairs] == [("x0", "x1")]
    assert "the sum of these curves and the maps below" in (folder / "report.html").read_text()


def test_curves_take_grids_and_are_clonable() -> None:
    """A coarser grid is a parameter like another."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    model = clone(KANRegressor(additive=True, grids=(4,))).fit(x, x[:, 0])
    assert model.score(x, x[:, 0]) > 0.99
    assert "grids = [4]" in model.recipe_


# A row of weight 2 is no repeated row: the λs see the effective number of rows, and knots follow rows as they are.
@pytest.mark.slow
@pytest.mark.parametrize("estimator", [KANRegressor(additive=True), KANClassifier(additive=True)])
def test_scikit_learns_checks_hold_for_sums_of_curves(estimator: Any) -> None:
    """The same failures are expected as of other fits."""
    found = check_estimator(estimator, expected_failed_checks=EXPECTED_FAILURES, on_skip=None, on_fail=None)
    failed = {each["check_name"]: each["exception"] for each in found if each["status"] == "failed"}
    assert failed == {}


def test_rows_of_weight_0_are_as_rows_that_are_not_there() -> None:
    """60 rows, and 600 others of weight 0 with targets of their own: the same answers as of the 60 alone."""
    random = np.random.default_rng(3)
    x = random.uniform(-3, 3, size=(660, 2))
    y = np.where(np.arange(660) < 60, np.sin(x[:, 0]) + 0.3 * random.normal(size=660), 5.0)
    weighted = KANRegressor(additive=True, recipe=UNTIMED).fit(x, y, sample_weight=np.arange(660) < 60)
    alone = KANRegressor(additive=True, recipe=UNTIMED).fit(x[:60], y[:60])
    np.testing.assert_allclose(weighted.predict(x), alone.predict(x), rtol=0, atol=1e-3)
    assert np.sqrt(np.mean((weighted.predict(x[:60]) - np.sin(x[:60, 0])) ** 2)) < 0.2


def test_a_sum_of_curves_learns_on_from_new_rows(tmp_path: Path) -> None:
    """With warm_start an optimizer moves the curves to the new targets; the version has one layer, and no old bands."""
    random = np.random.default_rng(4)
    x = random.uniform(-3, 3, size=(200, 2))
    model = KANRegressor(additive=True, grids=(8,), warm_start=True, recipe=UNTIMED).fit(x, np.sin(x[:, 0]) + x[:, 1])
    before = model.predict(x)
    moved = np.sin(x[:, 0]) + x[:, 1] ** 2
    model.set_params(steps=150, learning_rate=0.05).fit(x, moved)
    after = model.predict(x)
    assert np.mean((after - moved) ** 2) < 0.2 * np.mean((before - moved) ** 2)
    one, both = x[:50].copy(), x[:50].copy()
    one[:, 0], both[:, 0], both[:, 1] = 1.0, 1.0, 1.0
    other = x[:50].copy()
    other[:, 1] = 1.0
    added = model.predict(one) + model.predict(other) - model.predict(both)
    np.testing.assert_allclose(after[:50], added, atol=1e-4)
    folder = model.export(tmp_path / "models" / "paid")
    manifest = read_manifest(folder)
    assert manifest is not None
    assert len(manifest.network.width) == 2
    page = (folder / "report.html").read_text()
    assert "the sum of these curves" in page
    assert "two standard errors" not in page
    assert model.fit(x, moved).score(x, moved) > 0.9
