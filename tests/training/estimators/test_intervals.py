"""predict_interval: bounds that keep their promise on rows that the fit never saw."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.base import clone

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.onnx_runtime import open_session
from training import KANRegressor
from training.errors import RecipeError
from training.publishing.repository import read_manifest

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(-1, 1, (2400, 2))
# The noise is four times as large at one end of the second column as at the other.
Y = np.sin(2 * X[:, 0]) + X[:, 1] + RANDOM.normal(size=2400) * np.exp(0.7 * X[:, 1]) / 5
KEYS: dict[str, Any] = {
    "hidden": (3,),
    "grids": (3,),
    "steps": 40,
    "batch_rows": 64,
    "members": 4,
    "search": False,
    "learning_rate": 0.05,
    "weight_decay": 0.0,
}


@pytest.fixture(scope="module")
def model() -> KANRegressor:
    """Fitted to a third of the rows."""
    return KANRegressor(**KEYS, coverage=0.9, target_scale="linear").fit(X[:800], Y[:800])


def test_the_share_that_was_asked_for_lies_between_the_bounds(model: KANRegressor) -> None:
    """Of 1,600 new rows: within what 800 rows leave to chance, 0.9 ± 4 standard errors of both."""
    lower, upper = model.predict_interval(X[800:])
    inside = np.mean((lower <= Y[800:]) & (Y[800:] <= upper))
    error = np.sqrt(0.09 / 800 + 0.09 / 1600)
    assert abs(inside - 0.9) < 4 * error
    answers = model.predict(X[800:])
    assert ((lower < answers) & (answers < upper)).all()


def test_bounds_are_wide_where_the_noise_is(model: KANRegressor) -> None:
    """At the noisy end they are at least twice as far apart; the noise itself is four times as large."""
    lower, upper = model.predict_interval(np.array([[0.0, -0.9], [0.0, 0.9]]))
    assert (upper - lower)[1] > 2 * (upper - lower)[0]


def test_the_published_graph_has_the_same_bounds(model: KANRegressor, tmp_path: Path) -> None:
    """As outputs of model.onnx; the manifest tells coverage and width, found out of fold."""
    version = model.export(tmp_path / "models" / "noisy")
    answers, lower, upper = open_session(onnx.load(version / "model.onnx")).run(X[800:].astype(np.float32))
    rows = X[800:].astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(answers[:, 0], model.predict(rows), atol=1e-4)
    for ours, theirs in zip(model.predict_interval(rows), (lower, upper), strict=True):
        np.testing.assert_allclose(theirs[:, 0], ours, atol=1e-4)
    manifest = read_manifest(version)
    assert isinstance(manifest, ModelManifest)
    told = manifest.intervals
    assert (told.coverage, told.kind, told.is_scaled, told.calibration_rows) == (0.9, "linear", True, 800)
    assert (told.judged_by, told.judged_rows) == ("folds", 800)
    assert abs(told.judged_coverage[0] - 0.9) < 0.03
    assert told.judged_width[0] == pytest.approx((upper - lower).mean(), rel=0.1)
    asked, found = np.array(told.curve_asked), np.array(told.curve_found)
    assert (np.abs(found - asked) < 4 * np.sqrt(asked * (1 - asked) / 800) + 0.01).all()
    # An estimator fits no model to compare with.
    assert not told.HasField("quantile_pair")
    page = (version / "report.html").read_text()
    assert "How sure it is" in page
    assert "90 %" in page


def test_a_positive_target_has_positive_bounds() -> None:
    """On a log scale the bounds are a factor of the answer."""
    y = np.exp(Y / 2)
    model = KANRegressor(**KEYS, coverage=0.8, target_scale="log").fit(X[:800], y[:800])
    lower, upper = model.predict_interval(X[800:])
    assert (lower > 0).all()
    inside = np.mean((lower <= y[800:]) & (y[800:] <= upper))
    assert abs(inside - 0.8) < 4 * np.sqrt(0.16 / 800 + 0.16 / 1600)
    np.testing.assert_allclose(np.sqrt(lower * upper), model.predict(X[800:]), rtol=1e-5)


def test_each_of_several_targets_has_bounds() -> None:
    """Counts of a Poisson objective are never bounded below 0; a frame of two targets has two columns each."""
    y = pd.DataFrame({"a": Y, "b": 10 * X[:, 0] + RANDOM.normal(size=2400)})
    model = KANRegressor(**KEYS, coverage=0.9).fit(X[:400], y[:400])
    lower, upper = model.predict_interval(X[800:])
    assert lower.shape == (1600, 2)
    inside = np.mean((lower <= y[800:].to_numpy()) & (y[800:].to_numpy() <= upper), axis=0)
    assert (np.abs(inside - 0.9) < 4 * np.sqrt(0.09 / 400 + 0.09 / 1600)).all()
    counts = RANDOM.poisson(np.exp(X[:, 0]))
    lower, _ = KANRegressor(**KEYS, coverage=0.9, objective="poisson").fit(X[:400], counts[:400]).predict_interval(X)
    assert lower.min() == 0


def test_what_cannot_be_done_is_refused_in_plain_words() -> None:
    """Coverage out of range, a single network, too few rows, and a fit without bounds."""
    for coverage in (0.0, 1.0, 90):
        with pytest.raises(RecipeError, match=r"\[intervals\] coverage .* for example 0\.9$"):
            KANRegressor(**KEYS, coverage=coverage).fit(X[:50], Y[:50])
    with pytest.raises(RecipeError, match=r"\[intervals\] needs \[ensemble\]"):
        KANRegressor(**(KEYS | {"members": 1}), coverage=0.9).fit(X[:50], Y[:50])
    with pytest.raises(RecipeError, match=r"\[intervals\]: not with \[symbolic\].*coverage or symbolic=True"):
        KANRegressor(coverage=0.9, symbolic=True).fit(X[:50], Y[:50])
    with pytest.raises(RecipeError, match=r"\[intervals\]: not with \[network\] additive = true"):
        KANRegressor(coverage=0.9, additive=True).fit(X[:50], Y[:50])
    with pytest.raises(ValueError, match=r"needs at least 99 rows that neither trained nor chose .* 60 of 60 rows"):
        KANRegressor(**KEYS, coverage=0.99).fit(X[:60], Y[:60])
    with pytest.raises(ValueError, match="the fit made no bounds; wanted KANRegressor"):
        KANRegressor(**KEYS).fit(X[:50], Y[:50]).predict_interval(X)


def test_learning_on_keeps_no_bounds(model: KANRegressor, tmp_path: Path) -> None:
    """They were made for the network before; an export behind one that had them warns."""
    again = clone(model).set_params(warm_start=True).fit(X[:800], Y[:800])
    again.export(tmp_path / "models" / "noisy")
    again.fit(X[800:1200], Y[800:1200])
    with pytest.raises(ValueError, match="learning on keeps none"):
        again.predict_interval(X)
    said = r"90 % of new rows lie between lower and upper \(now there are no bounds\); .* coverage=0.9 and warm_start=F"
    with pytest.warns(UserWarning, match=said):
        again.export(tmp_path / "models" / "noisy")


def test_a_search_leaves_out_the_rows_that_chose() -> None:
    """Of 4 members 2 are fitted by both candidates: the rows of their folds calibrate nothing."""
    recipe = {"search": {"candidates": [{"steps": 20}, {"steps": 30}]}}
    keys = KEYS | {"search": True, "steps": None}
    model = KANRegressor(**keys, coverage=0.9, recipe=recipe).fit(X[:400], Y[:400])
    fit = model._fit
    assert fit.intervals is not None
    assert fit.chose is not None
    assert (len(fit.chose), fit.intervals.calibration_rows) == (200, 200)


def test_numbers_have_no_set() -> None:
    """The method is not there, for scikit-learn too; the message names the one that is."""
    with pytest.raises(AttributeError, match=r"numbers have no classes; wanted .*coverage=0\.9.* predict_interval"):
        KANRegressor().predict_set  # noqa: B018 - a property
    assert not hasattr(KANRegressor(), "predict_set")
