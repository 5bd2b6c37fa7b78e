"""The numbers of the page are those of scikit-learn and of the definition."""

import numpy as np
import pytest

from benchmarks.calibration.answers import LIGHTGBM, OURS, UNDIVIDED, Answers
from benchmarks.calibration.page import chance_of, difference_of, error_of, holds, page
from training.calibration.error import calibration_error


def drawn(rows: int, power: float, seed: int, classes: int = 3) -> Answers:
    """Classes that are drawn by probabilities, of which the method tells a power."""
    random = np.random.default_rng(seed)
    honest = random.dirichlet(np.ones(classes), rows)
    truth = (random.random((rows, 1)) > honest.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    told = honest**power
    return Answers(told / told.sum(axis=1, keepdims=True), truth)


def test_one_split_has_its_own_error_and_others_are_pooled() -> None:
    """Pooled, the rows of two splits are as those of one; tables of other numbers of classes pool too."""
    one, two = drawn(3_000, 2.0, 0), drawn(2_000, 2.0, 1)
    assert error_of([one]) == pytest.approx(calibration_error(one.probabilities, one.truth), rel=1e-12)
    both = Answers(np.concatenate([one.probabilities, two.probabilities]), np.concatenate([one.truth, two.truth]))
    assert error_of([one, two]) == pytest.approx(calibration_error(both.probabilities, both.truth), rel=1e-12)
    assert error_of([one, drawn(500, 2.0, 2, classes=2)]) > 0.05


def test_the_page_shows_each_table_the_mean_and_all_rows() -> None:
    """Honest answers are near 0 and hold beside overconfident ones; not the other way round."""
    honest, sure = drawn(4_000, 1.0, 0), drawn(4_000, 3.0, 0)
    found = {"a": [{OURS: honest, UNDIVIDED: sure, LIGHTGBM: sure}]}
    text = page(found)
    names = ["a", "mean of the tables", "all rows as one", "by chance, were they right"]
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:6]] == names
    assert f"| {error_of([honest]):.4f} | {error_of([sure]):.4f} | {error_of([sure]):.4f} |" in text
    difference, _ = difference_of([honest], [sure])
    assert text.splitlines()[-1].startswith(f"All rows as one, ours less LightGBM's: {difference:+.4f} ±")
    assert holds(found)
    assert not holds({"a": [{OURS: sure, UNDIVIDED: sure, LIGHTGBM: honest}]})


def test_right_probabilities_have_the_error_of_chance_and_differ_by_chance() -> None:
    """Over 20 tables of right probabilities: its mean, and the spread of the difference of two methods."""
    pairs = [(drawn(2_000, 1.0, seed), drawn(2_000, 1.0, 100 + seed)) for seed in range(20)]
    chance = np.mean([chance_of([one]) for one, _ in pairs])
    assert np.mean([error_of([one]) for one, _ in pairs]) == pytest.approx(chance, rel=0.15)
    found = np.array([difference_of([one], [two]) for one, two in pairs])
    np.testing.assert_allclose(found[:, 0], [error_of([one]) - error_of([two]) for one, two in pairs])
    assert 0.5 < found[:, 1].mean() / found[:, 0].std() < 2
