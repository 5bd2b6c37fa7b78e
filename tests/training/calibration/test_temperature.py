"""The fitted temperature minimizes the log loss, which SciPy computes, and is bounded where it has no minimum."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss as sklearn_log_loss

from training.calibration.temperature import FEWEST_ROWS, LARGEST, SMALLEST, fit_temperature, log_loss

Values = NDArray[np.float64]
Classes = NDArray[np.int64]


def drawn(rows: int, classes: int, temperature: float, seed: int = 0) -> tuple[Values, Classes]:
    """Scores, and classes that are drawn by softmax(scores / temperature)."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, (rows, classes))
    chances = softmax(scores / temperature, axis=1).cumsum(axis=1)
    return scores, (random.random((rows, 1)) > chances).sum(axis=1).clip(max=classes - 1)


@pytest.mark.parametrize("classes", [2, 3, 26])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_of_the_draws_is_found(classes: int, temperature: float) -> None:
    """Within four standard errors; that of 1 / T is 1 / √(rows · mean variance of the score)."""
    scores, truth = drawn(20_000, classes, temperature)
    chances = softmax(scores / temperature, axis=1)
    variance = (chances * scores**2).sum(axis=1) - (chances * scores).sum(axis=1) ** 2
    error = 1 / np.sqrt(len(scores) * variance.mean())
    assert abs(1 / fit_temperature(scores, truth) - 1 / temperature) < 4 * error


@pytest.mark.parametrize("classes", [2, 5])
def test_the_smoothed_log_loss_is_lowest(classes: int) -> None:
    """SciPy's bounded search over log T ends at the same number."""
    scores, truth = drawn(300, classes, 1.7)
    weights = np.random.default_rng(1).uniform(0, 3, 300)
    rest = 1 / 302
    wanted = np.full((300, classes), rest / (classes - 1))
    wanted[np.arange(300), truth] = 1 - rest

    def loss(log_temperature: float) -> float:
        each = -(wanted * log_softmax(scores / np.exp(log_temperature), axis=1)).sum(axis=1)
        return float(np.average(each, weights=weights))

    found = minimize_scalar(loss, bounds=(np.log(SMALLEST), np.log(LARGEST)), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(scores, truth, weights) == pytest.approx(float(np.exp(found.x)), rel=1e-5)


def test_rows_that_are_all_right_give_a_temperature_above_zero() -> None:
    """Their log loss has no minimum above 0. Smoothed, no probability says more than the number of rows can tell."""
    truth = np.arange(200) % 2
    scores = np.where(np.eye(2)[truth] == 1, 1.0, -1.0)
    temperature = fit_temperature(scores, truth)
    assert SMALLEST < temperature < 1
    least = 1 - softmax(scores / temperature, axis=1).max(axis=1)
    np.testing.assert_allclose(least, 1 / 202, rtol=1e-6)  # Of equal scores: the share that smoothing gives.


@pytest.mark.parametrize(("sign", "bound"), [(1e-4, SMALLEST), (-1.0, LARGEST)])
def test_scores_that_say_nothing_are_bounded(sign: float, bound: float) -> None:
    """Scores that are far too small, or wrong in every row."""
    truth = np.arange(100) % 3
    assert fit_temperature(sign * np.eye(3)[truth], truth) == bound


def test_few_rows_leave_the_scores_as_they_are() -> None:
    """Also none at all."""
    scores, truth = drawn(FEWEST_ROWS - 1, 3, 5.0)
    assert fit_temperature(scores, truth) == 1.0
    assert fit_temperature(np.empty((0, 3)), np.empty(0, np.int64)) == 1.0


def test_a_class_may_be_absent() -> None:
    """The classes that occur decide; a class without rows lowers nothing."""
    scores, truth = drawn(5_000, 3, 2.0)
    kept = truth != 2
    found = fit_temperature(scores[kept], truth[kept])
    assert np.isfinite(found)
    assert SMALLEST < found < LARGEST


def test_a_weight_is_a_number_of_rows() -> None:
    """Rows of weight 2 count as the same rows twice; smoothing by the number of rows moves it by less than 1 / rows."""
    scores, truth = drawn(2_000, 3, 1.5)
    counts = 1 + np.arange(2_000) % 3
    repeated = fit_temperature(np.repeat(scores, counts, axis=0), np.repeat(truth, counts))
    assert fit_temperature(scores, truth, counts.astype(float)) == pytest.approx(repeated, rel=2e-3)


def test_the_log_loss_is_that_of_scikit_learn() -> None:
    """With and without weights."""
    scores, truth = drawn(500, 4, 1.0)
    weights = np.random.default_rng(2).uniform(0, 2, 500)
    for each in (None, weights):
        wanted = sklearn_log_loss(truth, softmax(scores, axis=1), labels=range(4), sample_weight=each)
        assert log_loss(scores, truth, each) == pytest.approx(wanted, rel=1e-12)
