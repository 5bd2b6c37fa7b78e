"""The estimate of what the mean of the members says of new rows, beside what it does say of them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from training.calibration.error import calibration_error
from training.calibration.mean_scores import estimate_mean_scores
from training.calibration.temperature import choose_temperature, fit_temperature, row_losses

Values = NDArray[np.float64]


def drawn(rows: int, classes: int, seed: int) -> tuple[Values, NDArray[np.int64]]:
    """Rows of 20 columns, and classes drawn by a softmax of two of them."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 20))
    scores = np.stack([(1 + place) * x[:, place] for place in range(classes)], axis=1)
    chances = softmax(scores, axis=1).cumsum(axis=1)
    return x, (random.random((rows, 1)) > chances).sum(axis=1).clip(max=classes - 1)


def members_on(x: Values, y: NDArray[np.int64], folds: NDArray[np.int64], count: int) -> list[LogisticRegression]:
    """Overconfident members, nearly without a penalty: each leaves out a fold and reads two thirds of the columns."""
    members = []
    for member in range(count):
        seen = np.random.default_rng(member).random(x.shape[1]) < 2 / 3
        kept = folds != member
        fitted = LogisticRegression(C=1e4, max_iter=2_000).fit(x[kept] * seen, y[kept])
        fitted.coef_ *= seen
        members.append(fitted)
    return members


def scores_of(members: list[LogisticRegression], x: Values) -> Values:
    """``[rows, members, classes]``."""
    each = [member.decision_function(x) for member in members]
    return np.stack([np.stack([-z / 2, z / 2], axis=1) if z.ndim == 1 else z for z in each], axis=1)


@pytest.mark.parametrize(("classes", "rows"), [(2, 150), (4, 300)])
def test_log_loss_temperature_and_error_of_new_rows_are_estimated(classes: int, rows: int) -> None:
    """Nearer than by the members that left rows out and by the mean on its training rows; over eight tables.

    The calibration error is right within a fifth.
    """
    losses, temperatures, errors, count = [], [], np.empty((8, 2)), 6
    for seed in range(8):
        x, y = drawn(rows, classes, seed)
        folds = np.arange(rows) % count
        members = members_on(x, y, folds, count)
        scores = scores_of(members, x)
        left_out = scores[np.arange(rows), folds]
        fresh, truth = drawn(20_000, classes, 1_000 + seed)
        compared = [
            (scores_of(members, fresh).mean(axis=1), truth),
            (estimate_mean_scores(scores, folds, y).scores, y),
            (left_out, y),
            (scores.mean(axis=1), y),
        ]
        losses.append([log_loss(labels, softmax(z, axis=1), labels=range(classes)) for z, labels in compared])
        temperatures.append([np.log(fit_temperature(z, labels)) for z, labels in compared])
        # Of as many new rows, since chance makes the error of few rows larger.
        parts = np.arange(20 * rows).reshape(20, rows)
        served = [calibration_error(softmax(compared[0][0][part], axis=1), truth[part]) for part in parts]
        errors[seed] = np.mean(served), calibration_error(softmax(compared[1][0], axis=1), y)
    for found in (losses, temperatures):
        served, estimated, single, known = np.mean(found, axis=0)
        assert known < served < single
        assert abs(estimated - served) < 0.5 * min(single - served, served - known)
    error, estimated = errors.mean(axis=0)
    assert estimated == pytest.approx(error, rel=0.2)


def gain_by(z: Values, y: NDArray[np.int64], weights: Values, temperature: float) -> float:
    """By how much the temperature lowers the log loss of scikit-learn."""
    losses = [
        log_loss(y, softmax(z / each, axis=1), labels=range(z.shape[1]), sample_weight=weights)
        for each in (1.0, temperature)
    ]
    return float(losses[0] - losses[1])


def test_the_error_of_the_gain_has_that_of_the_estimate() -> None:
    """The infinitesimal jackknife: each row's weight is changed a little, and all is estimated again, but T."""
    random, rows, count = np.random.default_rng(0), 90, 5
    x, y = drawn(rows, 3, 0)
    folds, weights = np.arange(rows) % count, random.uniform(0.5, 2, rows)
    scores = scores_of(members_on(x, y, folds, count), x)
    mean = estimate_mean_scores(scores, folds, y, weights)
    chosen = choose_temperature(mean.scores, y, weights, estimated=mean.length)
    influences, step = np.empty(rows), 1e-5
    for row in range(rows):
        gains = []
        for sign in (-1, 1):
            changed = weights.copy()
            changed[row] += sign * step
            gains.append(gain_by(estimate_mean_scores(scores, folds, y, changed).scores, y, changed, chosen.best))
        influences[row] = (gains[1] - gains[0]) / (2 * step)
    wanted = np.sqrt((weights**2 * influences**2).sum() * rows / (rows - 1))
    assert chosen.error == pytest.approx(wanted, rel=1e-4)
    assert choose_temperature(mean.scores, y, weights).error < 0.9 * wanted


def test_the_error_of_the_gain_is_what_the_gain_errs_by() -> None:
    """Over 40 tables, beside the gain on fresh rows; without the error of the estimate it is 1.8 times too small."""
    rows, count, temperature, errors, told = 150, 6, 1.25, [], []
    for seed in range(40):
        x, y = drawn(rows, 2, seed)
        folds = np.random.default_rng(seed).permutation(np.arange(rows) % count)
        members = members_on(x, y, folds, count)
        mean = estimate_mean_scores(scores_of(members, x), folds, y)
        fresh, truth = drawn(8_000, 2, 1_000 + seed)
        served = scores_of(members, fresh).mean(axis=1)
        ones = np.ones(rows)
        found = gain_by(mean.scores, y, ones, temperature)
        errors.append(found - gain_by(served, truth, np.ones(8_000), temperature))
        gains = row_losses(mean.scores, y) - row_losses(mean.scores / temperature, y)
        told.append((gains + mean.length.gain_influences(mean.scores, y, temperature, ones)).std() / np.sqrt(rows))
    assert 0.7 < np.std(errors) / np.mean(told) < 1.35


def test_the_true_class_scores_as_the_members_that_left_rows_out_say() -> None:
    """On average, with weights."""
    random = np.random.default_rng(0)
    members, folds, truth = random.normal(size=(40, 5, 3)), np.arange(40) % 5, np.arange(40) % 3
    weights = random.uniform(0.5, 2, 40)
    # All but the member that left a row out are surer of its class.
    members += np.eye(3)[truth][:, None] * (np.arange(5) != folds[:, None])[..., None]
    found = estimate_mean_scores(members, folds, truth, weights).scores
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-12)
    left_out = members[np.arange(40), folds]
    wanted = (left_out - left_out.mean(axis=1, keepdims=True))[np.arange(40), truth]
    of_true = found[np.arange(40), truth]
    assert np.average(of_true, weights=weights) == pytest.approx(np.average(wanted, weights=weights), abs=1e-12)


def test_members_that_are_no_surer_of_their_own_rows_are_taken_as_they_are() -> None:
    """Else their scores would move towards the true class, and any rows would look easy."""
    random = np.random.default_rng(0)
    members, folds, truth = random.normal(size=(40, 5, 3)), np.arange(40) % 5, np.arange(40) % 3
    members -= np.eye(3)[truth][:, None] * (np.arange(5) != folds[:, None])[..., None]
    found = estimate_mean_scores(members, folds, truth).scores
    np.testing.assert_allclose(softmax(found, axis=1), softmax(members.mean(axis=1), axis=1), rtol=1e-9)


def test_members_that_agree_are_their_own_mean() -> None:
    """Nothing is taken back where training changed nothing; a shift of all scores of a row means nothing."""
    scores = np.random.default_rng(0).normal(size=(30, 3))
    members = np.repeat(scores[:, None], 4, axis=1) + np.arange(4)[:, None]
    found = estimate_mean_scores(members, np.arange(30) % 4, np.arange(30) % 3).scores
    np.testing.assert_allclose(softmax(found, axis=1), softmax(scores, axis=1), rtol=1e-9)


def test_members_that_are_sure_leave_nothing_to_take_back() -> None:
    """Their softmax is 1 in float64, so nothing tells along what they moved; the scores stay finite."""
    truth, rows = np.arange(20) % 2, np.arange(20)
    sure = np.where(np.eye(2)[truth] == 1, 500.0, -500.0)
    members = np.repeat(sure[:, None], 3, axis=1)
    members[rows, rows % 3] /= 100
    found = estimate_mean_scores(members, rows % 3, truth).scores
    np.testing.assert_allclose(found, (2 * sure + sure / 100) / 3)


def test_a_timid_mean_gets_better() -> None:
    """Over fresh rows of eight tables, by the temperature of the estimate: members read two thirds of the columns."""
    rows, count, changes = 400, 8, []
    for seed in range(8):
        x, y = drawn(rows, 2, seed)
        folds = np.arange(rows) % count
        members = members_on(x, y, folds, count)
        mean = estimate_mean_scores(scores_of(members, x), folds, y)
        temperature = choose_temperature(mean.scores, y, estimated=mean.length).value
        fresh, truth = drawn(20_000, 2, 1_000 + seed)
        served = scores_of(members, fresh).mean(axis=1)
        losses = [log_loss(truth, softmax(served / each, axis=1)) for each in (1.0, temperature)]
        changes.append(losses[1] - losses[0])
    assert np.mean(changes) < -3e-3
    assert sum(change > 0 for change in changes) <= 1
    assert max(changes) < 0.01
