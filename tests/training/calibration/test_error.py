"""The calibration error by its definition, row by row, in NumPy."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.calibration import calibration_curve

from training.calibration.error import bin_by_confidence, calibration_error, error_by_chance

Values = NDArray[np.float64]


def drawn(rows: int, seed: int = 0) -> tuple[Values, NDArray[np.int64]]:
    """Probabilities of three classes, all different, and classes drawn by them."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([1.0, 1.0, 2.0], rows)
    return probabilities, (random.random((rows, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=2)


def test_bins_of_equal_rows() -> None:
    """Sorted by confidence and cut into 15 equal parts, as array_split does; and scikit-learn's quantile bins."""
    probabilities, truth = drawn(1500)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    parts = np.array_split(np.argsort(confidence), 15)
    wanted = np.mean([abs(confidence[part].mean() - right[part].mean()) for part in parts])
    assert calibration_error(probabilities, truth) == pytest.approx(wanted, rel=1e-12)
    found, told = calibration_curve(right, confidence, n_bins=15, strategy="quantile")
    binned = bin_by_confidence(probabilities, truth)
    np.testing.assert_allclose(binned.told, told, rtol=1e-2)
    np.testing.assert_allclose(binned.found, found, atol=2e-2)


def test_honest_probabilities_have_a_small_error_and_others_the_difference() -> None:
    """Of 60,000 rows less than 0.01; an answer that is always sure is wrong by the share of its mistakes."""
    probabilities, truth = drawn(60_000)
    assert calibration_error(probabilities, truth) < 0.01
    sure = np.eye(3)[probabilities.argmax(axis=1)]
    mistakes = float((probabilities.argmax(axis=1) != truth).mean())
    assert calibration_error(sure, truth) == pytest.approx(mistakes, rel=1e-12)


def test_the_order_of_the_rows_does_not_matter_and_equal_ones_share_a_bin() -> None:
    """Ten different confidences of 500 rows: ten bins at most."""
    probabilities, truth = drawn(500)
    rounded = np.round(probabilities.max(axis=1), 1)
    two = np.stack([rounded, 1 - rounded], axis=1)
    truth = np.minimum(truth, 1)
    order = np.random.default_rng(1).permutation(500)
    assert calibration_error(two, truth) == pytest.approx(calibration_error(two[order], truth[order]), rel=1e-12)
    binned = bin_by_confidence(two, truth)
    assert len(binned.told) <= 10
    assert binned.weight.sum() == pytest.approx(1)


def test_a_weight_is_a_number_of_rows() -> None:
    """Rows of weight 3 are the same row three times; a row of weight 0 is none."""
    probabilities, truth = drawn(300)
    counts = np.arange(300) % 4
    repeated = calibration_error(np.repeat(probabilities, counts, axis=0), np.repeat(truth, counts))
    assert calibration_error(probabilities, truth, counts.astype(float)) == pytest.approx(repeated, rel=1e-12)


def test_the_error_that_right_probabilities_have_by_chance() -> None:
    """In one bin the mean absolute deviation of a binomial share, by SciPy; in 15 bins that of tables drawn anew."""
    same = np.tile([0.7, 0.3], (60, 1))
    found = error_by_chance(same)
    shares = np.arange(61) / 60
    assert found == pytest.approx((binom.pmf(np.arange(61), 60, 0.7) * np.abs(shares - 0.7)).sum(), rel=0.25)
    probabilities, _ = drawn(200)
    weights = np.random.default_rng(1).uniform(0.5, 2, 200)
    found = error_by_chance(probabilities, weights)
    chances, random = probabilities.cumsum(axis=1), np.random.default_rng(2)
    anew = [
        calibration_error(probabilities, (random.random((200, 1)) > chances).sum(axis=1).clip(max=2), weights)
        for _ in range(100)
    ]
    assert found == pytest.approx(np.mean(anew), rel=0.1)
    assert found > 0.05
    assert error_by_chance(np.eye(2)[[0, 1, 1]]) == 0
