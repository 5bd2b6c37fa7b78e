"""Masked words are a share of the training rows, drawn by the seed, and nothing else changes."""

import numpy as np

from training.data.encoding import Column
from training.data.learned_features import mask_words

TOWN, SIZE, KIND = Column("town", ("a", "b", "c"), True), Column("size"), Column("kind", ("x", "y"), True)
COLUMNS = (TOWN, SIZE, KIND)


def table(rows: int = 1000) -> np.ndarray:
    """Features of all columns; no row is "other"."""
    random = np.random.default_rng(0)
    words = [np.eye(width)[random.integers(width, size=rows)] for width in (3, 2)]
    return np.concatenate([words[0], random.normal(size=(rows, 1)), words[1]], axis=1)


def test_two_percent_of_the_words_of_the_training_rows_are_masked() -> None:
    """Each column of words has its own rows; numbers, other rows and the argument stay."""
    x, train = table(), np.arange(100, 900)
    before = x.copy()
    masked = mask_words(x, COLUMNS, train, seed=0)
    np.testing.assert_array_equal(x, before)
    town, kind = (np.flatnonzero(masked[:, block].sum(axis=1) == 0) for block in (slice(0, 3), slice(4, 6)))
    assert (len(town), len(kind)) == (16, 16)
    assert set(town) <= set(train)
    assert set(town) != set(kind)
    changed = (masked != x).any(axis=1)
    assert set(np.flatnonzero(changed)) == set(town) | set(kind)
    np.testing.assert_array_equal(masked[:, 3], x[:, 3])


def test_the_seed_draws_the_rows() -> None:
    """The same rows for the same seed, others for another; a further column does not change those of the first."""
    x, train = table(), np.arange(800)
    first = mask_words(x, COLUMNS, train, seed=0)
    np.testing.assert_array_equal(first, mask_words(x, COLUMNS, train, seed=0))
    assert (first[:, :3] != mask_words(x, COLUMNS, train, seed=1)[:, :3]).any()
    np.testing.assert_array_equal(first[:, :3], mask_words(x[:, :3], (TOWN,), train, seed=0))


def test_small_tables_mask_one_word_and_constant_columns_none() -> None:
    """A constant column gets weight zero; a masked row would make an input of it."""
    x, train = table(20), np.arange(12)
    x[:, 4:] = [1, 0]
    masked = mask_words(x, COLUMNS, train, seed=0)
    assert (masked[:, :3].sum(axis=1) == 0).sum() == 1
    np.testing.assert_array_equal(masked[:, 4:], x[:, 4:])


def test_columns_that_refuse_are_never_masked() -> None:
    """Without unseen = "other" the features are those of the table."""
    x = table()
    columns = (Column("town", ("a", "b", "c")), SIZE, Column("kind", ("x", "y")))
    np.testing.assert_array_equal(mask_words(x, columns, np.arange(800), seed=0), x)
