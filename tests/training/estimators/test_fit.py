"""The ways of a fit: weights, groups, an eval_set, callbacks, a bar, and learning on."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training import KANClassifier, KANRegressor
from training.errors import DataError
from training.fitting.fit import TrainingDiverged
from training.fitting.record import Record
from training.pipelines.continuation_fit import ContinuationError
from training.publishing.verify import VerificationFailed

X = np.random.default_rng(0).normal(size=(120, 2))
Y = np.sin(X[:, 0]) + X[:, 1] / 2


def test_weights_of_rows_count_in_the_loss(quick: dict[str, Any]) -> None:
    """Of two truths about equal rows the heavier one is answered."""
    x, y = np.tile(X, (2, 1)), np.repeat([0.0, 1.0], len(X)) + np.tile(X[:, 0], 2) * 1e-3
    weights = np.repeat([1.0, 99.0], len(X))
    assert KANRegressor(**quick).fit(x, y).predict(X).mean() == pytest.approx(0.5, abs=0.1)
    assert KANRegressor(**quick).fit(x, y, sample_weight=weights).predict(X).mean() == pytest.approx(0.99, abs=0.05)


def test_weights_of_classes_move_the_probabilities(quick: dict[str, Any]) -> None:
    """By label, or balanced."""
    rare = np.arange(120) % 10 == 0
    plain, balanced, chosen = (
        KANClassifier(**quick, class_weight=weight).fit(X, rare).predict_proba(X)[:, 1].mean()
        for weight in (None, "balanced", {True: 9, False: 1})
    )
    assert plain < 0.3
    assert balanced == pytest.approx(chosen, abs=0.05)
    assert balanced > plain + 0.15


def test_rows_of_a_group_are_left_out_by_one_member(quick: dict[str, Any]) -> None:
    """So no member is judged on a group that it trained on; a single network has whole groups in its parts."""
    groups = np.repeat(np.arange(30), 4)
    model = KANRegressor(**quick).fit(X, Y, groups=groups)
    assert 'kind = "group"' in model.recipe_
    dataset = KANRegressor(**(quick | {"members": 1})).fit(X, Y, groups=[f"g{group}" for group in groups])._fit.dataset
    assert not set(groups[dataset.train]) & set(groups[dataset.validation])
    assert len(dataset.train) + len(dataset.validation) == 120


def test_an_eval_set_joins_weights_and_groups(quick: dict[str, Any]) -> None:
    """Its rows have weight 1, and each is a group."""
    model = KANRegressor(**(quick | {"members": 1}))
    model.fit(X[:90], Y[:90], sample_weight=np.full(90, 2.0), groups=np.arange(90) // 3, eval_set=(X[90:], Y[90:]))
    dataset = model._fit.dataset
    assert dataset.validation.tolist() == list(range(90, 120))
    assert dataset.weights is not None
    assert dataset.weights.tolist() == [2.0] * 90 + [1.0] * 30


def test_callbacks_hear_of_each_evaluation(quick: dict[str, Any]) -> None:
    """With its record; an exception in one ends the fit, and the fit before stays."""
    records: list[Record] = []
    model = KANRegressor(**quick, callbacks=[records.append]).fit(X, Y)
    assert [record.step for record in records] == sorted({record.step for record in records})
    assert records[-1].step == 60
    assert min(record.validation_loss for record in records) < records[0].validation_loss
    answers = model.predict(X)

    def stop(record: Record) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[stop]).fit(X, -Y)
    assert (model.predict(X) == answers).all()


def test_a_fit_is_silent_unless_it_is_asked(quick: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Verbose tells of the rows and of each grid, on stderr."""
    KANRegressor(**quick).fit(X, Y)
    assert capsys.readouterr() == ("", "")
    KANRegressor(**quick, verbose=1).fit(X, Y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "120 rows train, each left out by one member, 0 test" in err
    assert "validation loss" in err


def test_warm_start_learns_on_from_the_network(quick: dict[str, Any]) -> None:
    """A short fit goes on where it was; without warm_start it would begin anew."""
    model = KANRegressor(**(quick | {"steps": 3}), warm_start=True).fit(X, Y)
    start = model.score(X, Y)
    scores = [model.set_params(steps=20).fit(X, Y).score(X, Y) for _ in range(3)]
    assert scores[2] > scores[0] > start
    assert scores[2] > 0.9


def test_what_learned_on_can_be_published_and_asked(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any], tmp_path: Any
) -> None:
    """With the words, gaps and scaling of the first fit, though the new rows lack some of them."""
    untimed: dict[str, Any] = {"lowering": {"tune_for": []}}
    model = KANClassifier(**quick, warm_start=True, recipe=untimed).fit(inputs, people["kind"])
    first = model.predict_proba(inputs)
    some = people["town"] == "Ulm"
    model.fit(inputs[some], people["kind"][some], groups=np.arange(some.sum()) // 2)
    assert (model.predict_proba(inputs) != first).any()
    assert model.score(inputs, people["kind"]) > 0.8
    page = (model.export(tmp_path / "models" / "kind") / "report.html").read_text()
    assert re.search(r"right for \S+ % of \d+ validation rows|right for all \d+ validation rows", page)


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (X[:, :1], Y > 0, ValueError, "expecting 2 features"),
        (X, np.where(Y > 1, 2, 0), ValueError, "the class 2 is none of those that were fitted"),
        (X[:5], Y[:5] > 0, DataError, "5 rows to train on"),
    ],
)
def test_rows_that_do_not_fit_the_first_ones_are_refused(
    x: Any, y: Any, error: type[Exception], words: str, quick: dict[str, Any]
) -> None:
    """And the network stays."""
    model = KANClassifier(**quick, warm_start=True).fit(X, (Y > 0).astype(int))
    before = model.predict_proba(X)
    with pytest.raises(error, match=words):
        model.fit(x, y)
    assert (model.predict_proba(X) == before).all()


def test_formulas_do_not_learn_on() -> None:
    """Only coefficients of splines learn on."""
    quick = {"symbolic": {"seeds": 1, "functions": ["x", "x^2"]}}
    model = KANRegressor(symbolic=True, hidden=(), warm_start=True, steps=30, recipe=quick)
    model.fit(X[:, :1], 2 * X[:, 0] + 1)
    with pytest.raises(ContinuationError, match="touch no spline coefficient"):
        model.fit(X[:, :1], X[:, 0])


def test_refusals_are_in_the_words_of_an_estimator(quick: dict[str, Any], tmp_path: Path) -> None:
    """Of a fit that diverged and of a graph that is not exact enough: arguments, and no options of a command."""
    with pytest.raises(TrainingDiverged, match=r"smaller learning_rate \(now 100000\) .*, then fit again$"):
        KANRegressor(**(quick | {"members": 1, "learning_rate": 1e5, "steps": 3})).fit(X, Y)
    exact: dict[str, Any] = {"lowering": {"tune_for": []}, "verify": {"tolerance": 1e-15}}
    model = KANClassifier(**(quick | {"steps": 3}), recipe=exact).fit(X, Y > 0)
    with pytest.raises(VerificationFailed, match=r'a larger tolerance, such as recipe=\{"verify": ') as told:
        model.export(tmp_path / "models" / "exact")
    assert "--" not in str(told.value)
