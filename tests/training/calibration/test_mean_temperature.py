"""The temperature of the mean of members is that of the estimate or of single members, whichever is lower."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import log_loss

from training.calibration.mean_scores import estimate_mean_scores
from training.calibration.mean_temperature import choose_mean_temperature
from training.calibration.temperature import choose_temperature

Values = NDArray[np.float64]
Classes = NDArray[np.int64]


def members_of(rows: int, spread: float, memory: float, seed: int, count: int = 4) -> tuple[Values, Classes, Classes]:
    """Scores of members, who left each row out, and the classes.

    Args:
        rows: How many.
        spread: Of the members around the scores that drew the classes.
        memory: How much higher the true class of a row scores with members that trained on it, where it is wrong.
        seed: Of the draws.
        count: Of members.
    """
    random = np.random.default_rng(seed)
    right = random.normal(0, 3, (rows, 3))
    truth = (random.random((rows, 1)) > softmax(right, axis=1).cumsum(axis=1)).sum(axis=1).clip(max=2)
    members = right[:, None] + random.normal(0, spread, (rows, count, 3))
    folds = np.arange(rows) % count
    # Members learn by heart the rows that they would get wrong, and are then as sure of them as of any other.
    is_wrong = members.argmax(axis=2) != truth[:, None]
    trained = folds[:, None] != np.arange(count)
    members += memory * (is_wrong & trained)[..., None] * np.eye(3)[truth][:, None]
    return members, folds, truth


@pytest.mark.parametrize("spread", [0.2, 2.0])
@pytest.mark.parametrize("memory", [0.0, 12.0])
def test_it_is_the_lower_one_of_two(spread: float, memory: float) -> None:
    """With weights and groups, which both of them follow; the scores are those that it was fitted to."""
    members, folds, truth = members_of(400, spread, memory, 0)
    weights, groups = np.random.default_rng(1).uniform(0.5, 2, 400), np.arange(400) // 5
    found = choose_mean_temperature(members, folds, truth, weights, groups)
    mean = estimate_mean_scores(members, folds, truth, weights)
    single = members[np.arange(400), folds]
    both = [
        choose_temperature(mean.scores, truth, weights, groups, mean.length),
        choose_temperature(single, truth, weights, groups),
    ]
    lower = min(both, key=lambda each: each.best)
    for name in ("value", "best", "gain", "error", "rows", "groups"):
        assert getattr(found.chosen, name) == pytest.approx(getattr(lower, name), rel=1e-6)
    wanted = (mean.scores, single)[both.index(lower)]
    np.testing.assert_allclose(softmax(found.scores, axis=1), softmax(wanted, axis=1), rtol=1e-9)


def test_members_that_know_their_rows_by_heart_do_not_make_the_mean_timid() -> None:
    """Beside 20,000 new rows: the estimate asks for a temperature that raises the log loss, single members do not."""
    members, folds, truth = members_of(2_000, 0.5, 12.0, 0)
    mean = estimate_mean_scores(members, folds, truth)
    estimate = choose_temperature(mean.scores, truth, estimated=mean.length).best
    fresh, _, labels = members_of(20_000, 0.5, 0.0, 1)
    chosen = choose_mean_temperature(members, folds, truth).chosen

    def loss(temperature: float) -> float:
        return float(log_loss(labels, softmax(fresh.mean(axis=1) / temperature, axis=1)))

    assert chosen.best < estimate
    assert loss(chosen.best) < loss(estimate) - 1e-3
    assert loss(chosen.value) < loss(1.0) + 1e-3
