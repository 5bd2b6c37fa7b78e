"""The pair of boosted trees beside intervals, against fits of scikit-learn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from training.data.dataset import Dataset, prepare
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.recipe.config import Recipe, load_recipe
from training.steps import quantile_pair
from training.steps.quantile_pair import fit_quantile_pair


def nothing() -> None:
    """No check."""


def own_fit(x: Numbers, y: Numbers, asked: Numbers, weights: Numbers | None = None) -> tuple[Numbers, Numbers]:
    """What scikit-learn makes of the quantiles of a coverage of 0.8."""
    found = [
        HistGradientBoostingRegressor(loss="quantile", quantile=quantile, random_state=0)
        .fit(x, y, sample_weight=weights)
        .predict(asked)
        for quantile in ((1 - 0.8) / 2, (1 + 0.8) / 2)
    ]
    return np.minimum(*found), np.maximum(*found)


def may_train(dataset: Dataset) -> RowNumbers:
    """All rows but the test rows."""
    return np.concatenate([dataset.train, dataset.validation])


@pytest.fixture
def numbers(wave: Callable[[str], Recipe]) -> Dataset:
    """3·sin(a) + b + 7."""
    return prepare(wave(""))


def test_each_target_has_the_quantiles_of_its_training_rows(numbers: Dataset) -> None:
    """Of two targets and weights: each is scikit-learn's fit to it alone, and no test row has a part in it."""
    weights = np.random.default_rng(0).uniform(0, 2, len(numbers.y))
    y: Numbers = np.hstack([numbers.y, -10.0 * numbers.y**2]).astype(np.float64)
    dataset = replace(numbers, y=y, targets=("y", "z"), weights=weights)
    pair, rows = fit_quantile_pair(dataset, 0.8, nothing)
    found, train = pair(dataset.test), may_train(dataset)
    assert rows == len(train)
    for target in (0, 1):
        wanted = own_fit(dataset.x[train], y[train, target], dataset.x[dataset.test], weights[train])
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours[:, target], theirs, rtol=1e-9)


def test_on_a_log_scale_logarithms_are_fitted(numbers: Dataset) -> None:
    """The bounds come back in the unit of the target."""
    dataset = replace(numbers, target_scale="log")
    pair, _ = fit_quantile_pair(dataset, 0.8, nothing)
    train = may_train(dataset)
    wanted = own_fit(dataset.x[train], np.log(dataset.y[train, 0]), dataset.x[dataset.test])
    for ours, theirs in zip(pair(dataset.test), wanted, strict=True):
        np.testing.assert_allclose(ours[:, 0], np.exp(theirs), rtol=1e-9)


def test_words_and_gaps_are_read_as_by_the_other_trees(write_recipe: Callable[..., Path]) -> None:
    """Gaps stay gaps; a test row is judged whatever its cells are."""
    dataset = prepare(load_recipe(write_recipe()))
    pair, _ = fit_quantile_pair(dataset, 0.8, nothing)
    train = may_train(dataset)
    wanted = own_fit(dataset.x[train], dataset.y[train, 0], dataset.x[dataset.test])
    assert np.isnan(dataset.x[train]).any()
    for ours, theirs in zip(pair(dataset.test), wanted, strict=True):
        np.testing.assert_allclose(ours[:, 0], theirs, rtol=1e-9)


def test_few_rows_and_a_constant_target_have_constant_bounds(numbers: Dataset) -> None:
    """Trees cannot split nine rows, and need not split equal ones."""
    few = replace(numbers, train=numbers.train[:9], validation=numbers.validation[:0])
    lower, upper = fit_quantile_pair(few, 0.8, nothing)[0](few.test)
    y = numbers.y[few.train]
    assert np.ptp(lower) == np.ptp(upper) == 0
    assert y.min() <= lower[0] <= upper[0] <= y.max()
    flat = replace(numbers, y=np.full_like(numbers.y, 3.0))
    for bound in fit_quantile_pair(flat, 0.8, nothing)[0](flat.test):
        np.testing.assert_allclose(bound, 3.0)


def test_of_many_rows_a_part_is_fitted(numbers: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred rows of more, the same ones each time; the count is told."""
    monkeypatch.setattr(quantile_pair, "MOST_ROWS", 100)
    (first, rows), (second, _) = (fit_quantile_pair(numbers, 0.8, nothing) for _ in range(2))
    assert rows == 100 < len(may_train(numbers))
    for one, other in zip(first(numbers.test), second(numbers.test), strict=True):
        np.testing.assert_array_equal(one, other)
