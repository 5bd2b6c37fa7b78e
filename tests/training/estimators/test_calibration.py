"""The probabilities of an estimator are calibrated as those of the version that it exports."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.training.estimators.test_publication import UNTIMED, published
from training import KANClassifier, KANRegressor
from training.calibration import divide_scores
from training.errors import RecipeError

# Smoothed labels make probabilities surely less certain than they could be, so that the temperature is below 1.
SMOOTHED: dict[str, Any] = {"fit": {"label_smoothing": 0.5}}


def test_the_probabilities_are_those_of_divided_scores(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any], tmp_path: Path
) -> None:
    """Beside the same estimator without [calibration]; the exported manifest has the same temperature."""
    sections: tuple[dict[str, Any], ...] = ({}, {"calibration": {}})
    plain, calibrated = (
        KANClassifier(**quick, recipe=UNTIMED | SMOOTHED | more).fit(inputs, people["kind"]) for more in sections
    )
    assert "[calibration]" not in plain.recipe_
    manifest = published(calibrated.export(tmp_path / "models" / "kind"))
    assert manifest.calibration.temperature != 1
    assert (manifest.calibration.estimated.rows, manifest.calibration.test.rows) == (200, 0)
    wanted = divide_scores(plain.predict_proba(inputs), manifest.calibration.temperature)
    np.testing.assert_allclose(calibrated.predict_proba(inputs), wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(calibrated.predict(inputs), plain.predict(inputs))


def test_sets_are_classes_above_the_threshold_of_the_manifest(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any], tmp_path: Path
) -> None:
    """In the order of the labels; pickled too. A fit that was not asked for them says what to ask for."""
    asked = KANClassifier(**quick, coverage=0.95, recipe=UNTIMED).fit(inputs, people["kind"])
    told = published(asked.export(tmp_path / "models" / "kind")).calibration.sets
    probabilities = asked.predict_proba(inputs)
    wanted = (probabilities >= told.threshold) | (probabilities == probabilities.max(axis=1, keepdims=True))
    np.testing.assert_array_equal(asked.predict_set(inputs), wanted)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(asked)).predict_set(inputs), wanted)
    assert (told.coverage, told.judged_by) == (0.95, "folds")
    with pytest.raises(ValueError, match=r"no sets of classes; wanted KANClassifier\(coverage=0\.9\)"):
        KANClassifier(**quick).fit(inputs, people["kind"]).predict_set(inputs)


@pytest.mark.parametrize("keys", [{"members": 1}, {"recipe": {"ensemble": None, "search": None}}, {"symbolic": True}])
def test_a_network_without_out_of_fold_answers_is_not_calibrated(
    keys: dict[str, Any], people: pd.DataFrame, inputs: pd.DataFrame
) -> None:
    """It is refused by name."""
    small: dict[str, Any] = {"hidden": (2,), "grids": (3,), "steps": 2, "search": False}
    asked = keys | {"recipe": keys.get("recipe", {}) | {"calibration": {}}}
    with pytest.raises(RecipeError, match=r"\[calibration\]"):
        KANClassifier(**(small | asked)).fit(inputs, people["kind"])


def test_numbers_are_not_calibrated(people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]) -> None:
    """A regression has bounds in place of it."""
    with pytest.raises(RecipeError, match=r"only with \[task\] kind = \"classification\""):
        KANRegressor(**quick, recipe={"calibration": {}}).fit(inputs, people["paid"])


@pytest.mark.parametrize("coverage", [1.0, 0.0, -0.5, 90, "0.9", True, float("nan")])
def test_a_coverage_that_no_sets_can_have_is_refused(
    coverage: Any, people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]
) -> None:
    """Sets that hold every true class hold every class. The message names the key and what came."""
    with pytest.raises(RecipeError, match=r"\[calibration\] coverage"):
        KANClassifier(**quick, coverage=coverage).fit(inputs, people["kind"])


def test_sets_of_too_few_rows_are_a_warning_of_fit(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any]
) -> None:
    """No threshold promises so much by these rows: each set has all classes, and `fit` says so."""
    with pytest.warns(UserWarning, match=r"coverage = 0\.999 needs more than the 200 rows .* each set has all classes"):
        model = KANClassifier(**quick, coverage=0.999).fit(inputs, people["kind"])
    assert model.predict_set(inputs).all()


def test_an_additive_model_has_no_sets(people: pd.DataFrame, inputs: pd.DataFrame) -> None:
    """The message names the argument to leave out."""
    with pytest.raises(
        RecipeError, match=r"\[calibration\]: not with .*leave the section out \(of an estimator: coverage"
    ):
        KANClassifier(additive=True, coverage=0.9).fit(inputs, people["kind"])


def test_classes_have_no_interval() -> None:
    """The method is not there, for scikit-learn too; the message names the one that is."""
    with pytest.raises(AttributeError, match=r"nothing lies between two classes; wanted .*coverage=0\.9.* predict_set"):
        KANClassifier().predict_interval  # noqa: B018 - a property
    assert not hasattr(KANClassifier(), "predict_interval")
