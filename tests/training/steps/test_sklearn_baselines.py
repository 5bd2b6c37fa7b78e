"""The baselines of scikit-learn, against what is known of each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from training.data.dataset import Dataset, prepare
from training.data.encoding import Numbers
from training.data.objective.loss import loss
from training.data.objective.loss_function import LossFunction
from training.recipe.config import Recipe, load_recipe, parse_recipe
from training.recipe.sections import ObjectiveName
from training.steps import sklearn_baselines
from training.steps.sklearn_baselines import Kind, add_validation_rows, fit_sklearn_baseline


@pytest.fixture
def numbers(wave: Callable[[str], Recipe]) -> Dataset:
    """3·sin(a) + b + 7."""
    return prepare(wave(""))


@pytest.fixture
def kinds(wave: Callable[[str], Recipe], tmp_path: Path) -> Dataset:
    """Whether it is high or low."""
    text = wave("").text.replace('target = "y"', 'target = "kind"').replace("regression", "classification")
    return prepare(parse_recipe(text.replace("lbfgs", "adam"), folder=tmp_path, name="r"))


def test_the_trivial_one_answers_what_the_training_rows_say(numbers: Dataset, kinds: Dataset) -> None:
    """Their mean; their class frequencies."""
    answer, note = fit_sklearn_baseline("trivial", numbers)
    np.testing.assert_allclose(answer(numbers.test), numbers.y[numbers.train].mean())
    assert note == ""
    answer, _ = fit_sklearn_baseline("trivial", kinds)
    shares = np.bincount(kinds.y[kinds.train].astype(int)) / len(kinds.train)
    np.testing.assert_allclose(answer(kinds.test), np.tile(shares, (len(kinds.test), 1)))


def test_the_linear_one_misses_the_sine_and_the_trees_do_not(numbers: Dataset) -> None:
    """In raw units on rows never seen: the line keeps the sine's spread as its error, the trees a part of it."""
    truth = numbers.y[numbers.test]
    linear, boosted = (fit_sklearn_baseline(kind, numbers)[0](numbers.test) for kind in ("linear", "boosted"))
    assert linear.shape == boosted.shape == truth.shape
    assert 1.0 < np.sqrt(((linear - truth) ** 2).mean()) < 2.2
    assert np.sqrt(((boosted - truth) ** 2).mean()) < 0.8


def test_columns_of_any_unit_are_alike_to_the_linear_one(kinds: Dataset) -> None:
    """It is scikit-learn's logistic regression on standardized columns."""
    x = (kinds.x - kinds.x[kinds.train].mean(axis=0)) / kinds.x[kinds.train].std(axis=0)
    model = LogisticRegression().fit(x[kinds.train], kinds.y[kinds.train])
    found = fit_sklearn_baseline("linear", kinds)[0](kinds.test)
    np.testing.assert_allclose(found, model.predict_proba(x[kinds.test]), atol=1e-3)
    scaled = replace(kinds, x=kinds.x * np.array([1e6, 1e-6, 1.0]))
    np.testing.assert_allclose(fit_sklearn_baseline("linear", scaled)[0](kinds.test), found, atol=1e-3)


@pytest.mark.parametrize("kind", ["trivial", "linear", "boosted"])
def test_missing_cells_and_constant_columns_are_answered(
    kind: sklearn_baselines.Kind, write_recipe: Callable[..., Path]
) -> None:
    """Every row has a finite answer."""
    dataset = prepare(load_recipe(write_recipe()))
    assert np.isnan(dataset.x).any()
    assert np.isfinite(fit_sklearn_baseline(kind, dataset)[0](dataset.test)).all()


def test_a_column_without_a_value_in_training_is_no_column_to_the_trees(numbers: Dataset) -> None:
    """Later rows may have values in it; they change no answer."""
    x = numbers.x.copy()
    x[numbers.train, 2] = np.nan
    found = fit_sklearn_baseline("boosted", replace(numbers, x=x))[0](numbers.test)
    x[:, 2] = 0
    np.testing.assert_array_equal(found, fit_sklearn_baseline("boosted", replace(numbers, x=x))[0](numbers.test))


@pytest.mark.parametrize("kind", ["trivial", "linear", "boosted"])
def test_a_class_without_a_training_row_has_no_probability(kind: sklearn_baselines.Kind, kinds: Dataset) -> None:
    """The others have their places, and sum to 1."""
    dataset = replace(kinds, classes=("absent", *kinds.classes), y=kinds.y + 1)
    found = fit_sklearn_baseline(kind, dataset)[0](kinds.test)
    assert found.shape == (len(kinds.test), 3)
    assert (found[:, 0] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_class_of_one_row_among_many_does_not_stop_the_trees() -> None:
    """Stopping early would put rows aside by class, and of one row it cannot."""
    random = np.random.default_rng(0)
    x = random.normal(size=(12_000, 2))
    y = (x[:, 0] > 0).astype(np.int64)
    y[0] = 2
    rows = np.arange(12_000)
    dataset = _dataset(x, y, rows, ("a", "b", "c"))
    found = fit_sklearn_baseline("boosted", dataset)[0](rows[1:])
    assert (found.argmax(axis=1) == y[1:]).mean() > 0.99


def test_several_targets_are_each_answered() -> None:
    """One column of answers a target."""
    x = np.random.default_rng(0).normal(size=(300, 2))
    rows = np.arange(300)
    dataset = _dataset(x, np.column_stack([x[:, 0], -3 * x[:, 1]]), rows, ())
    for kind in ("trivial", "linear", "boosted"):
        assert fit_sklearn_baseline(kind, dataset)[0](rows).shape == (300, 2)
    np.testing.assert_allclose(fit_sklearn_baseline("linear", dataset)[0](rows), dataset.y, atol=0.1)


def test_of_too_many_rows_the_trees_read_a_part_and_say_so(numbers: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has both numbers; the same table gives the same part."""
    monkeypatch.setattr(sklearn_baselines, "_MOST_BOOSTED_CELLS", 100)
    answer, note = fit_sklearn_baseline("boosted", numbers)
    assert note == f"baseline: the boosted trees are fitted to 100 of {len(numbers.train)} rows"
    again, _ = fit_sklearn_baseline("boosted", numbers)
    np.testing.assert_array_equal(answer(numbers.test), again(numbers.test))


def test_all_rows_but_the_test_rows_train(numbers: Dataset) -> None:
    """Where there are test rows; without them the validation rows judge, and train nothing."""
    added = add_validation_rows(numbers)
    assert len(numbers.validation)
    assert sorted(added.train) == sorted(set(range(len(numbers.y))) - set(numbers.test.tolist()))
    assert not len(added.validation)
    untested = replace(numbers, test=numbers.test[:0])
    kept = add_validation_rows(untested)
    np.testing.assert_array_equal(kept.train, numbers.train)
    np.testing.assert_array_equal(kept.validation, numbers.validation)


def _dataset(x: np.ndarray, y: np.ndarray, rows: np.ndarray, classes: tuple[str, ...]) -> Dataset:
    return Dataset(
        columns=(),
        features=(),
        x=x,
        y=y,
        targets=("y",),
        task="classification" if classes else "regression",
        classes=classes,
        train=rows,
        validation=rows,
        test=rows,
        imputed=(None,) * x.shape[1],
        gaps=(),
        constant=(False,) * x.shape[1],
        warnings=(),
        dropped_rows=0,
        spelled={},
        fingerprint="",
        source="t",
        loss=LossFunction("cross_entropy" if classes else "squared_error"),
    )


@pytest.mark.parametrize("kind", ["trivial", "linear", "boosted"])
def test_a_row_of_weight_zero_teaches_nothing(kind: Kind, numbers: Dataset) -> None:
    """With weights, the answers are those of a table without the rows of weight 0."""
    weights = np.ones(len(numbers.x))
    left_out = numbers.train[::3]
    weights[left_out] = 0
    rest = np.setdiff1d(numbers.train, left_out)
    answer, _ = fit_sklearn_baseline(kind, replace(numbers, weights=weights, train=np.r_[rest, left_out]))
    without, _ = fit_sklearn_baseline(kind, replace(numbers, train=rest))
    if kind != "boosted":  # the trees' bins come from all rows
        np.testing.assert_allclose(answer(numbers.test), without(numbers.test), atol=0.05)
    assert answer(numbers.test).shape == (len(numbers.test), 1)


SHARES = {"mae": 0.5, "quantile": 0.9}


def _skewed(loss: LossFunction, targets: int = 1) -> Dataset:
    """Counts, or amounts above 0, whose logarithm is linear in the first column and whose spread grows with it."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (900, 2))
    mean = np.exp(1.5 * x[:, :1] + 1)
    y = random.poisson(mean, (900, targets)) if loss.name == "poisson" else random.gamma(2, mean / 2, (900, targets))
    rows = np.arange(900)
    dataset = _dataset(x, y.astype(np.float64), rows[:600], ())
    return replace(dataset, loss=loss, test=rows[600:], targets=tuple(map(str, range(targets))))


@pytest.mark.parametrize("kind", ["trivial", "linear"])
@pytest.mark.parametrize("name", ["mae", "quantile", "huber", "poisson", "gamma"])
def test_each_minimizes_the_loss_of_the_network(kind: Kind, name: ObjectiveName) -> None:
    """On the rows that trained it is not above that of the model of squared errors, in any unit of the target."""
    function = LossFunction(name, 0.9, (0.5,))
    dataset = _skewed(function)
    rows = dataset.train
    own = fit_sklearn_baseline(kind, dataset)[0](rows)
    squared = fit_sklearn_baseline(kind, replace(dataset, loss=LossFunction("squared_error")))[0](rows)
    y = torch.from_numpy(np.asarray(dataset.y[rows], dtype=np.float64))

    def of(answers: Numbers) -> float:
        positive = torch.from_numpy(np.maximum(answers, 1e-3))
        return float(loss(function, positive.log() if function.has_log_link else positive, y))

    assert of(own) <= of(squared) + 1e-9
    if name in SHARES:
        assert float((dataset.y[rows] <= own + 1e-9).mean()) == pytest.approx(SHARES[name], abs=0.01)
    if function.has_log_link:
        assert (own > 0).all()
        return
    large = replace(dataset, y=1e6 * np.asarray(dataset.y, dtype=np.float64), loss=replace(function, delta=(5e5,)))
    np.testing.assert_allclose(fit_sklearn_baseline(kind, large)[0](rows) / 1e6, own, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mae", {"loss": "absolute_error"}),
        ("quantile", {"loss": "quantile", "quantile": 0.9}),
        ("huber", {}),
        ("poisson", {"loss": "poisson"}),
        ("gamma", {"loss": "gamma"}),
    ],
)
def test_trees_have_the_loss_of_the_network_if_scikit_learn_has_it(
    name: ObjectiveName, options: dict[str, Any]
) -> None:
    """It has no Huber loss for them."""
    dataset = _skewed(LossFunction(name, 0.9))
    rows = dataset.train
    wanted = HistGradientBoostingRegressor(random_state=0, **options).fit(dataset.x[rows], dataset.y[rows, 0])
    found = fit_sklearn_baseline("boosted", dataset)[0](dataset.test)
    np.testing.assert_allclose(found[:, 0], wanted.predict(dataset.x[dataset.test]), rtol=1e-9)


def test_on_a_log_scale_the_baselines_learn_logarithms() -> None:
    """The line is that of logarithms, and all answers are above 0."""
    dataset = replace(_skewed(LossFunction("squared_error")), target_scale="log")
    rows = dataset.train
    own = fit_sklearn_baseline("linear", dataset)[0](rows)
    wanted = Ridge().fit(dataset.x[rows], np.log(dataset.y[rows, 0])).predict(dataset.x[rows])
    np.testing.assert_allclose(np.log(own[:, 0]), wanted, atol=0.02)
    trivial = fit_sklearn_baseline("trivial", dataset)[0](rows)
    np.testing.assert_allclose(trivial, np.exp(np.log(dataset.y[rows]).mean()))


@pytest.mark.parametrize("name", ["mae", "quantile", "huber", "poisson", "gamma"])
@pytest.mark.parametrize("kind", ["trivial", "linear", "boosted"])
def test_several_targets_and_weights_go_with_every_loss(kind: Kind, name: ObjectiveName) -> None:
    """Each target has a model of its own, and rows of weight 0 do not count."""
    dataset = _skewed(LossFunction(name, 0.9, (0.5,)), targets=2)
    weighted = replace(dataset, weights=np.where(np.arange(900) % 3, 1.0, 0.0))
    found = fit_sklearn_baseline(kind, weighted)[0](dataset.test)
    assert found.shape == (300, 2)
    assert np.isfinite(found).all()


def test_a_linear_program_reads_a_part_of_many_rows_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time grows with the square of the rows."""
    monkeypatch.setattr(sklearn_baselines, "MOST_QUANTILE_ROWS", 100)
    _, note = fit_sklearn_baseline("linear", _skewed(LossFunction("mae")))
    assert note == "baseline: the linear model is fitted to 100 of 600 rows"
    assert fit_sklearn_baseline("linear", _skewed(LossFunction("huber")))[1] == ""
