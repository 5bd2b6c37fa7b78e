"""Scores, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from benchmarks.tables.methods.metrics import score_classes, score_numbers


def test_log_loss_and_accuracy_are_scikit_learns() -> None:
    """On random probabilities of three classes; the trivial answer is the frequencies of the training rows."""
    random = np.random.default_rng(0)
    answers, truth = random.dirichlet([1, 1, 1], size=50), random.integers(3, size=50)
    train = np.array([0] * 5 + [1] * 3 + [2] * 2)
    found = score_classes(answers, truth, train)
    assert found["error"] == pytest.approx(log_loss(truth, answers))
    assert found["trivial"] == pytest.approx(log_loss(truth, np.tile([0.5, 0.3, 0.2], (50, 1)), labels=[0, 1, 2]))
    assert found["accuracy"] == np.mean(answers.argmax(axis=1) == truth)


def test_brier_score_sums_over_classes() -> None:
    """With two classes it is twice scikit-learn's, which counts one of them."""
    random = np.random.default_rng(0)
    ones, truth = random.random(50), random.integers(2, size=50)
    found = score_classes(np.column_stack([1 - ones, ones]), truth, truth)
    assert found["brier"] == pytest.approx(2 * brier_score_loss(truth, ones))


def test_probability_of_zero_costs_no_more_than_float32_can_tell() -> None:
    """A wrong answer that is sure costs 24 bits, not infinity."""
    found = score_classes(np.array([[1.0, 0.0]]), np.array([1]), np.array([0, 1]))
    assert found["error"] == pytest.approx(24 * np.log(2), rel=1e-6)


def test_error_of_numbers_is_in_their_spread() -> None:
    """Answers that are off by half a standard deviation each have an error of 1/2."""
    truth = np.array([1.0, 3.0, 1.0, 3.0])
    found = score_numbers(truth + 0.5, truth, np.array([2.0, 4.0]))
    assert found["error"] == pytest.approx(0.5)
    assert found["mae"] == pytest.approx(0.5)
    assert found["trivial"] == pytest.approx(np.sqrt(2))
