"""The fitted temperature minimizes the log loss, which SciPy computes, and is bounded where it has no minimum."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss as sklearn_log_loss

from training.calibration.temperature import (
    FEWEST_GROUPS,
    FEWEST_ROWS,
    LARGEST,
    SMALLEST,
    Temperature,
    choose_temperature,
    fit_temperature,
    log_loss,
)

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
    scores, truth = drawn(FEWEST_ROWS, 3, 5.0)
    none = choose_temperature(np.empty((0, 3)), np.empty(0, np.int64), groups=np.empty(0, np.int64))
    for few in (choose_temperature(scores[1:], truth[1:]), none):
        assert (few.value, few.best, few.gain, few.error) == (1, 1, 0, 0)
        assert few.has_few_rows
        assert few.rows < FEWEST_ROWS
    assert choose_temperature(scores, truth).value != 1


def test_weights_and_groups_count_as_many_as_tell_something() -> None:
    """(Σ w)² / Σ w² rows (Kish), and groups by the weights of their rows: one heavy row, or nine groups, tell no T."""
    scores, truth = drawn(400, 3, 5.0)
    heavy = np.ones(400)
    heavy[0] = 1e4
    found = choose_temperature(scores, truth, heavy)
    assert (found.value, found.has_few_rows) == (1, True)
    assert found.rows == pytest.approx((1e4 + 399) ** 2 / (1e8 + 399))
    for count in (1, 2, 9):
        found = choose_temperature(scores, truth, groups=np.arange(400) * count // 400)
        assert (found.value, found.has_few_groups, found.has_few_rows) == (1, True, False)
        assert found.groups == pytest.approx(count, rel=0.01)
    found = choose_temperature(scores, truth, groups=np.arange(400) % 10)
    assert found.groups == pytest.approx(FEWEST_GROUPS)
    assert found.value != 1
    # Ten groups, one of which is nearly all rows.
    assert choose_temperature(scores, truth, groups=np.maximum(np.arange(400) - 390, 0)).has_few_groups


def test_ten_groups_move_right_scores_about_as_often_as_rows_do() -> None:
    """Over 200 tables whose scores are right, the two counts of moved temperatures are less than a tenth apart."""
    by_rows, by_groups = 0, 0
    for seed in range(200):
        scores, truth = drawn(200, 2, 1.0, seed)
        by_rows += choose_temperature(scores, truth).value != 1
        by_groups += choose_temperature(scores, truth, groups=np.arange(200) % 10).value != 1
    # A table counts in the difference only if one of the two moves and the other stays: 25 of 200, so ± 5.
    assert abs(by_groups - by_rows) < 20


@pytest.mark.parametrize(("told", "seed", "is_sure"), [(1.0, 4, False), (1.02, 2, True), (3.0, 2, True)])
def test_the_way_to_the_best_temperature_is_as_long_as_its_gain_is_sure(
    told: float, seed: int, *, is_sure: bool
) -> None:
    """Less than a standard error from 1 scores stay; gain and error are those of SciPy's losses, row by row."""
    scores, truth = drawn(1_000, 3, told, seed=seed)
    found = choose_temperature(scores, truth)
    rows = np.arange(1_000)
    gains = log_softmax(scores / found.best, axis=1)[rows, truth] - log_softmax(scores, axis=1)[rows, truth]
    assert found.gain == pytest.approx(gains.mean(), rel=1e-9)
    assert found.error == pytest.approx(gains.std(ddof=1) / np.sqrt(1_000), rel=1e-9)
    assert (found.value != 1) == is_sure
    if is_sure:
        assert found.value == pytest.approx(
            found.best ** (1 - (gains.var(ddof=1) / 1_000) / (2 * gains.mean()) ** 2), rel=1e-9
        )
        assert 0 < np.log(found.value) / np.log(found.best) < 1


def test_chance_is_not_followed() -> None:
    """Over 200 tables of 200 right rows: two in five move, and the loss of the drawn probabilities hardly rises.

    Chance passes one standard error in 32 %. Of 600 such tables 38 % move, since so few rows tell the error roughly; of
    300 tables of 5,000 rows it is 32 %.
    """
    moved, rises, rises_of_best = 0, [], []
    for seed in range(200):
        scores, truth = drawn(200, 2, 1.0, seed)
        found, chances = choose_temperature(scores, truth), softmax(scores, axis=1)
        moved += found.value != 1

        def rise(temperature: float, chances: Values = chances, scores: Values = scores) -> float:
            """Of the expected log loss."""
            return float((chances * (np.log(chances) - log_softmax(scores / temperature, axis=1))).sum(axis=1).mean())

        rises.append(rise(found.value))
        rises_of_best.append(rise(found.best))
    assert 56 < moved < 96  # 38 % of 200, within three standard errors.
    # Of a normal distance z in standard errors, the mean of (z - 1 / z)² where |z| > 1 is 0.33.
    assert np.mean(rises) < 0.5 * np.mean(rises_of_best)


def test_rows_of_a_group_are_not_independent() -> None:
    """Each row four times: as single rows they are surer than they should be, as groups they are not."""
    scores, truth = drawn(300, 3, 2.0)
    alone = choose_temperature(scores, truth)
    many, same = np.repeat(scores, 4, axis=0), np.repeat(truth, 4)
    grouped, single = (
        choose_temperature(many, same, groups=np.repeat(np.arange(300), 4)),
        choose_temperature(many, same),
    )
    assert grouped.error == pytest.approx(alone.error, rel=0.02)
    assert single.error == pytest.approx(alone.error / 2, rel=0.02)


def test_a_bound_is_told() -> None:
    """Where the loss still falls beyond it; not where a minimum lies inside, nor where scores stay."""
    truth = np.arange(100) % 3
    assert choose_temperature(-np.eye(3)[truth], truth).is_at_bound
    assert not choose_temperature(*drawn(1_000, 3, 3.0)).is_at_bound
    assert not Temperature(1.0, LARGEST, 0.01, 0.02, 100).is_at_bound


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
