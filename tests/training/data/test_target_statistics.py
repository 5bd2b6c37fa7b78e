"""Target statistics are scikit-learn's, and out of fold for the rows that train."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import TargetEncoder

from training.data.target_statistics import SMOOTHING, fit_statistics

TRAIN = np.arange(0, 400)


def table(task: str, rows: int = 500) -> tuple[NDArray[Any], NDArray[Any], tuple[str, ...]]:
    """Words of many rows and of few, with a target that follows them."""
    random = np.random.default_rng(0)
    codes = np.minimum(random.geometric(0.05, rows), 60)
    cells = np.array([f"word, {code}\n" if code % 7 else "" for code in codes], dtype=object)
    if task == "regression":
        return cells, random.normal(codes, 1.0).reshape(-1, 1), ()
    classes = tuple("abc"[: 2 if task == "binary" else 3])
    return cells, (codes + random.integers(0, 2, rows)) % len(classes), classes


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_rows_that_do_not_train_get_the_numbers_of_scikit_learn(task: str) -> None:
    """The smoothed mean over the training rows, or the share of each class; a word that none holds gets the prior."""
    cells, y, classes = table(task)
    statistics, block = fit_statistics(cells, y, classes, TRAIN, seed=0, most_words=1000)
    kind: Any = {"regression": "continuous"}.get(task, task)
    encoder = TargetEncoder(smooth=SMOOTHING, target_type=kind).fit(cells[TRAIN, None], y[TRAIN].ravel())
    rest = np.append(cells[400:], "a word that nobody knows")
    wanted = encoder.transform(rest[:, None])
    wanted = wanted[:, 1:] if task == "multiclass" else wanted
    np.testing.assert_allclose(statistics.encode(rest), wanted, rtol=1e-6)
    np.testing.assert_array_equal(block[400:], statistics.encode(cells[400:]))
    assert statistics.labels == (("b", "c") if task == "multiclass" else ())


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_a_training_row_does_not_see_its_own_target(task: str) -> None:
    """Its number stays when its target changes, and changes with that of other rows."""
    cells, y, classes = table(task)
    changed = y.copy()
    changed[7] = (changed[7] + 1) % max(2, len(classes)) if classes else 1e6
    before, after = (fit_statistics(cells, each, classes, TRAIN, seed=0, most_words=1000)[1] for each in (y, changed))
    np.testing.assert_array_equal(before[7], after[7])
    assert (before != after).any()


def test_targets_of_other_rows_are_not_read() -> None:
    """Neither the rows that choose nor those that judge tell the numbers anything."""
    cells, y, _ = table("regression")
    hidden = y.copy()
    hidden[400:] = np.nan
    (known, one), (unknown, two) = (fit_statistics(cells, each, (), TRAIN, 0, 1000) for each in (y, hidden))
    assert known == unknown
    np.testing.assert_array_equal(one, two)


def test_a_word_of_one_row_is_what_the_other_rows_say() -> None:
    """Not its own target: the prior of the other folds."""
    cells = np.array(["rare", *["common"] * 99], dtype=object)
    y = np.append(1000.0, np.zeros(99)).reshape(-1, 1)
    statistics, block = fit_statistics(cells, y, (), np.arange(100), seed=0, most_words=10)
    assert block[0] == 0
    assert statistics.encode(np.array(["rare"], dtype=object))[0, 0] == pytest.approx((1000 + 10 * 10) / 11)


def test_a_word_too_long_for_a_manifest_gets_the_prior() -> None:
    """A text of a page, repeated, must not make the version one that cannot be published."""
    cells = np.array(["x" * 5000, "short"] * 50, dtype=object)
    statistics, _ = fit_statistics(cells, np.arange(100.0).reshape(-1, 1), (), np.arange(100), 0, 10)
    assert statistics.words == ("short",)


def test_long_words_leave_room_for_the_rest_of_the_manifest() -> None:
    """The most frequent ones stay within half a million characters."""
    cells = np.array([f"{row % 300:04}" * 1000 for row in range(600)], dtype=object)
    statistics, _ = fit_statistics(cells, np.arange(600.0).reshape(-1, 1), (), np.arange(600), 0, 10_000)
    assert len(statistics.words) == 2**19 // 4000


def test_the_seed_draws_the_folds_and_the_most_frequent_words_are_kept() -> None:
    """The statistics have no chance in them; words beyond the bound get the prior, also in training."""
    cells, y, _ = table("regression")
    first, other = (fit_statistics(cells, y, (), TRAIN, seed, most_words=3) for seed in (0, 1))
    assert first[0] == other[0]
    assert (first[1] != other[1]).any()
    words, counts = np.unique(cells[TRAIN].astype(str), return_counts=True)
    assert first[0].words == tuple(words[np.argsort(-counts, kind="stable")[:3]])
    pooled = ~np.isin(cells[400:].astype(str), first[0].words)
    assert (first[1][400:][pooled] == first[0].prior[0]).all()


def test_rows_count_by_their_weights() -> None:
    """A row of weight 2 counts as two rows, a row of weight 0 as none, in means, prior and words."""
    cells = np.array(["a", "a", "b", "b", "only here"], dtype=object)
    y, weights = np.array([[1.0], [4.0], [2.0], [1000.0], [1000.0]]), np.array([2.0, 1.0, 1.0, 0.0, 0.0])
    given, _ = fit_statistics(cells, y, (), np.arange(5), 0, 10, weights)
    twice = np.array([0, 0, 1, 2])
    wanted, _ = fit_statistics(cells[twice], y[twice], (), np.arange(4), 0, 10)
    assert given.words == wanted.words == ("a", "b")
    np.testing.assert_allclose([*given.values, given.prior], [*wanted.values, wanted.prior], rtol=1e-6)
