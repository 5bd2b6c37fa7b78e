"""The folds: equal in size and alike in target; whole groups stay together."""

import numpy as np

from training.ensemble.folds import deal_folds


def test_each_fold_has_its_share_of_rows_and_of_each_class() -> None:
    """Sizes differ by at most one between folds, counts of a class by at most two."""
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 30, 23]))
    folds = deal_folds(4, y, seed=1)
    assert np.ptp(np.bincount(folds, minlength=4)) <= 1
    for code in range(3):
        assert np.ptp(np.bincount(folds[y == code], minlength=4)) <= 2


def test_numbers_are_spread_evenly() -> None:
    """The mean target of every fold is near to that of all rows, also with one extreme tail."""
    y = np.exp(2 * np.random.default_rng(0).normal(size=(400, 1)))
    folds = deal_folds(4, y, seed=0)
    medians = [np.median(y[folds == fold]) for fold in range(4)]
    np.testing.assert_allclose(medians, np.median(y), rtol=0.1)


def test_the_seed_decides() -> None:
    """The same seed gives the same folds, another seed others."""
    y = np.arange(40.0)
    np.testing.assert_array_equal(deal_folds(4, y, seed=3), deal_folds(4, y, seed=3))
    assert (deal_folds(4, y, seed=3) != deal_folds(4, y, seed=4)).any()


def test_a_group_is_in_one_fold() -> None:
    """With groups of very different sizes no group is split, and no fold has more than its share and a group."""
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(12), [40, 20, 20, 10, 10, 5, 5, 5, 2, 1, 1, 1]))
    folds = deal_folds(3, np.zeros(len(groups)), seed=0, groups=groups)
    assert all(len(set(folds[groups == group])) == 1 for group in range(12))
    assert np.bincount(folds).tolist() == [40, 40, 40]
