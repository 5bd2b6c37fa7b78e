"""Words that training never saw: masked words in the training rows teach the network what to answer for them."""

import numpy as np

from training.data.encoding import Column, Numbers
from training.data.split import RowNumbers

MASKED_SHARE = 0.02


def mask_words(x: Numbers, columns: tuple[Column, ...], train: RowNumbers, seed: int) -> Numbers:
    """The features with 2 % of the training rows' words taken as "other", at least one word a column.

    Each column draws rows of its own. A column that holds one word only in the training rows is not masked: its inputs
    stay constant, so that they get weight zero.

    Args:
        x: float64 [rows, features].
        columns: The columns of the features; only those with ``takes_other`` are masked.
        train: The training rows.
        seed: Of the draws; the same seed masks the same rows.
    """
    masked = x.copy()
    count = max(1, round(MASKED_SHARE * len(train)))
    place = 0
    for number, column in enumerate(columns):
        block = slice(place, place + column.width)
        place = block.stop
        if column.takes_other and (x[train, block] != x[train[0], block]).any():
            drawn = np.random.default_rng([seed, number]).choice(train, size=count, replace=False)
            masked[drawn, block] = 0.0
    return masked
