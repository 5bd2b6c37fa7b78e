"""Sets of classes hold the true one as often as they were asked to, by counting."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.calibration.sets import class_sets, find_sets, find_threshold, judge_sets

Values = NDArray[np.float64]


def drawn(rows: int, seed: int) -> tuple[Values, NDArray[np.int64]]:
    """Probabilities of four classes that are wrong, and classes drawn by others."""
    random = np.random.default_rng(seed)
    told, honest = random.dirichlet(np.ones(4), (2, rows))
    chances = (0.7 * told + 0.3 * honest).cumsum(axis=1)
    return told, (random.random((rows, 1)) > chances).sum(axis=1).clip(max=3)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_new_rows_are_in_their_sets_as_often_as_asked(coverage: float) -> None:
    """Over 400 tables of 39 rows: at least the coverage, and by no more than 1 / 40, as the theorem says; 3 errors."""
    shares = []
    for seed in range(400):
        told, truth = drawn(39, seed)
        threshold = find_threshold(told[np.arange(39), truth], coverage)
        fresh, true = drawn(500, 10_000 + seed)
        # Without the most probable class, which is in anyway.
        shares.append(float((fresh[np.arange(500), true] >= threshold).mean()))
    error = 3 * np.std(shares) / np.sqrt(400)
    assert coverage - error <= np.mean(shares) <= coverage + 1 / 40 + error


def test_the_rank_of_the_threshold() -> None:
    """Of 199 scores and 0.9 the 180th largest; of 109 and 0.9 the 99th; of 8 none is small enough."""
    scores = np.random.default_rng(0).permutation(np.arange(1, 200) / 256)
    assert find_threshold(scores, 0.9) == np.sort(scores)[::-1][179]
    assert find_threshold(scores[:109], 0.9) == np.sort(scores[:109])[::-1][98]
    assert find_threshold(scores[:9], 0.9) == scores[:9].min()
    assert find_threshold(scores[:8], 0.9) == 0
    assert find_threshold(scores[:0], 0.9) == 0


def test_a_score_that_equals_the_threshold_is_in_also_in_float32() -> None:
    """The threshold is rounded down: no score is lost by rounding."""
    for seed in range(50):
        scores = np.random.default_rng(seed).random(30)
        threshold = find_threshold(scores, 0.8)
        assert threshold == np.float32(threshold)
        assert (scores >= threshold).sum() >= 25
        assert threshold <= np.sort(scores)[::-1][24] < threshold * (1 + 2e-7)


def test_a_threshold_below_float32_takes_all_classes() -> None:
    """What is served may be 0 there, and has to be in. It is no lack of rows."""
    assert find_threshold(np.full(100, 1e-50), 0.9) == find_threshold(np.full(100, 1e-39), 0.9) == 0
    assert 0 < find_threshold(np.full(100, 1e-37), 0.9) <= 1e-37


def test_a_set_has_the_most_probable_class() -> None:
    """And each other one above the threshold; a threshold of 0 takes all classes."""
    probabilities = np.array([[0.7, 0.25, 0.05], [0.34, 0.33, 0.33]])
    assert class_sets(probabilities, 0.21).tolist() == [[True, True, False], [True, True, True]]
    assert class_sets(probabilities, 0.9).tolist() == [[True, False, False], [True, False, False]]
    assert class_sets(probabilities, 0.0).all()


def test_sets_are_judged_by_other_folds_or_by_test_rows() -> None:
    """By counting, row by row."""
    told, truth = drawn(90, 0)
    folds = np.arange(90) % 3
    message = find_sets(told, truth, folds, 0.8)
    held, sizes = [], []
    for row in range(90):
        others = folds != folds[row]
        threshold = find_threshold(told[others][np.arange(60), truth[others]], 0.8)
        kept = {place for place in range(4) if told[row, place] >= threshold} | {int(told[row].argmax())}
        held.append(truth[row] in kept)
        sizes.append(len(kept))
    assert (message.judged_by, message.judged_rows, message.calibration_rows) == ("folds", 90, 90)
    assert message.judged_coverage == pytest.approx(np.mean(held))
    assert message.judged_size == pytest.approx(np.mean(sizes))
    test, true = drawn(50, 1)
    judge_sets(message, test, true)
    found = class_sets(test, message.threshold)
    assert (message.judged_by, message.judged_rows) == ("test", 50)
    assert message.judged_coverage == pytest.approx(np.mean([found[row, true[row]] for row in range(50)]))
    assert message.judged_size == pytest.approx(found.sum() / 50)


def test_without_rows_each_set_has_all_classes() -> None:
    """And nothing judged them."""
    message = find_sets(np.empty((0, 3)), np.empty(0, np.int64), np.empty(0, np.int64), 0.9)
    assert (message.threshold, message.judged_rows, message.calibration_rows) == (0, 0, 0)


@pytest.mark.parametrize("folds", [np.zeros(16, np.int64), np.arange(16) % 2])
def test_folds_do_not_judge_where_the_others_are_too_few(folds: NDArray[np.int64]) -> None:
    """All rows give a threshold, 8 or none do not: sets of all classes would hold the true one in 100 % of the rows."""
    message = find_sets(*drawn(16, 0), folds, 0.9)
    assert message.threshold > 0
    assert (message.judged_by, message.judged_rows, message.judged_coverage, message.judged_size) == ("", 0, 0, 0)
