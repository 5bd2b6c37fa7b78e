"""Truths that are monotone as promised, and rows of them."""

import numpy as np
import pytest

from benchmarks.monotone.truths import TRUTHS, Truth, draw_inside, draw_outside, draw_train

_SIGNS = {"up": 1, "down": -1}


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name)
def test_a_truth_keeps_its_promise_and_moves_both_ways_with_one_column(truth: Truth) -> None:
    """Inside [-1, 1] and as far outside as the test rows go; of the other columns one is a wave, and one is idle."""
    rows = np.random.default_rng(0).uniform(-1.5, 1.5, (10_000, len(truth.columns)))
    free = []
    for index, column in enumerate(truth.columns):
        moved = rows.copy()
        moved[:, index] += 0.05
        change = truth.answers(moved) - truth.answers(rows)
        if column in truth.promised:
            assert (_SIGNS[truth.promised[column]] * change >= -1e-12).all()
            assert np.abs(change).max() > 0
        else:
            free.append((change.min() < 0 < change.max(), np.abs(change).max() == 0))
    assert free == [(True, False), (False, True)]


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name)
def test_training_rows_have_the_asked_noise(truth: Truth) -> None:
    """Its standard deviation over that of the truth, within four standard errors."""
    rows = draw_train(truth, 20_000, 0.5, np.random.default_rng(1))
    share = (rows.y - rows.truth).std() / rows.truth.std()
    assert share == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(20_000))
    np.testing.assert_array_equal(rows.truth, truth.answers(rows.x.to_numpy()))


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name)
def test_rows_outside_have_one_promised_column_outside(truth: Truth) -> None:
    """By 0.5 at most, on both sides, each column about as often; rows inside have none."""
    outside = draw_outside(truth, 4_000, np.random.default_rng(2))
    far = outside.x.abs() > 1
    assert (far.sum(axis=1) == 1).all()
    assert outside.x.abs().to_numpy().max() <= 1.5
    for column in truth.columns:
        share = 1 / len(truth.promised) if column in truth.promised else 0
        for side in (outside.x[column] > 1, outside.x[column] < -1):
            assert side.mean() == pytest.approx(share / 2, abs=0.03)
    assert (draw_inside(truth, 4_000, np.random.default_rng(3)).x.abs() <= 1).all(axis=None)
    np.testing.assert_array_equal(outside.truth, truth.answers(outside.x.to_numpy()))
