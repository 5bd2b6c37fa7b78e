"""Deal the rows that may train into folds."""

import numpy as np
from numpy.typing import NDArray

from training.data.split import RowNumbers

Keys = NDArray[np.int64]


def deal_folds(count: int, y: NDArray[np.float64] | RowNumbers, seed: int, groups: Keys | None = None) -> RowNumbers:
    """The fold of each row, int64 ``[rows]``: 0 to ``count`` - 1.

    The rows are sorted by their target, at random among equal ones. Of each ``count`` neighbours every fold gets one,
    at random. So every fold has about the same share of each class, or the same spread of a number. With groups whole
    groups are dealt, the largest first, each into the fold with the fewest rows.

    Args:
        count: Number of folds.
        y: ``[rows]`` or ``[rows, targets]``; of several targets the first one counts.
        seed: The same seed gives the same folds.
        groups: ``[rows]``, the number of each row's group; None: every row is dealt on its own.
    """
    generator = np.random.default_rng(seed)
    if groups is not None:
        return _deal_groups(count, groups, generator)
    order = generator.permutation(len(y))
    by_target = order[np.argsort(y.reshape(len(y), -1)[order, 0], kind="stable")]
    folds = np.empty(len(y), dtype=np.int64)
    turns = generator.random((-(-len(y) // count), count)).argsort(axis=1)
    folds[by_target] = turns.ravel()[: len(y)]
    return folds


def _deal_groups(count: int, groups: Keys, generator: np.random.Generator) -> RowNumbers:
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    shuffled = generator.permutation(len(sizes))
    rows_of = np.zeros(count, dtype=np.int64)
    fold_of = np.empty(len(sizes), dtype=np.int64)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[group] = int(np.argmin(rows_of))
        rows_of[fold_of[group]] += sizes[group]
    return fold_of[codes]
