"""Scores of classes against scikit-learn and against their definitions."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_fscore_support

from training.report.class_scores import calibrate, score_classes
from training.report.judged import Judged

Numbers = NDArray[np.float64]


def judged(classes: int, rows: int = 400, *, weighted: bool = False, seed: int = 0) -> Judged:
    """Answers that are right more often than by chance."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    logits = random.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[truth]
    answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Judged("test rows", truth, answers, weights=random.uniform(0, 3, rows) if weighted else None)


def chance_to_be_above(truth: NDArray[np.bool_], probability: Numbers, weights: Numbers) -> float:
    """The area under the ROC curve by its definition: over all pairs, ties count half."""
    above = (probability[truth][:, None] > probability[~truth]) + 0.5 * (
        probability[truth][:, None] == probability[~truth]
    )
    pairs = weights[truth][:, None] * weights[~truth]
    return float((pairs * above).sum() / pairs.sum())


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_precision_and_recall_are_scikit_learns(classes: int, weighted: bool) -> None:
    """Per class, with and without weights; the area under the curve over all pairs."""
    given = judged(classes, weighted=weighted)
    answered = given.answers.argmax(axis=1)
    weights = np.ones(len(answered)) if given.weights is None else given.weights
    precision, recall, _, support = precision_recall_fscore_support(given.truth, answered, sample_weight=weights)
    for place, score in enumerate(score_classes(given)):
        is_class = given.truth == place
        assert score.precision == pytest.approx(precision[place])
        assert score.recall == pytest.approx(recall[place])
        assert score.share == pytest.approx(support[place] / weights.sum())
        assert score.rows == is_class.sum()
        assert score.missed == (is_class & (answered != place)).sum()
        assert score.auc == pytest.approx(chance_to_be_above(is_class, given.answers[:, place], weights))


def test_a_class_without_rows_has_no_recall() -> None:
    """A class that no row has, and one that is never answered: no number is made up."""
    answers = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    first, second, third = score_classes(Judged("test rows", np.array([0, 1]), answers))
    assert (first.recall, first.precision) == (1.0, 0.5)
    assert (second.recall, second.precision, second.auc) == (0.0, None, 1.0)
    assert (third.recall, third.precision, third.auc) == (None, None, None)


@pytest.mark.parametrize("classes", [2, 4])
def test_calibration_is_scikit_learns(classes: int) -> None:
    """The bins are those of scikit-learn's quantile strategy; of two classes for the second, of more for the answer."""
    given = judged(classes)
    if classes == 2:
        came_true, probability = given.truth == 1, given.answers[:, 1]
    else:
        came_true, probability = given.truth == given.answers.argmax(axis=1), given.answers.max(axis=1)
    found, told = calibration_curve(came_true, probability, n_bins=10, strategy="quantile")
    ours = calibrate(given)
    np.testing.assert_allclose(ours.told, told)
    np.testing.assert_allclose(ours.found, found)
    assert ours.rows.sum() == 400
    assert ours.error == pytest.approx(np.average(np.abs(told - found), weights=ours.rows))


def test_probabilities_that_are_true_have_a_small_error() -> None:
    """Rows drawn with the probabilities that are told; and with the opposite ones."""
    random = np.random.default_rng(0)
    probability = random.uniform(0, 1, 50_000)
    truth = (random.uniform(0, 1, 50_000) < probability).astype(np.int64)
    assert calibrate(Judged("", truth, np.column_stack([1 - probability, probability]))).error < 0.01
    assert calibrate(Judged("", truth, np.column_stack([probability, 1 - probability]))).error > 0.4


@pytest.mark.parametrize("rows", [1, 3])
def test_few_rows_are_one_bin(rows: int) -> None:
    """No bin is empty."""
    ours = calibrate(judged(2, rows))
    assert ours.rows.tolist() == [rows]
