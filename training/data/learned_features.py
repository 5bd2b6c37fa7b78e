"""Features that the training rows decide: target statistics of words, the first day, masked words for unseen ones."""

import datetime
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kan_api.limits import MAX_WIDTH
from training.data.column import words
from training.data.encoding import Column, Numbers, feature_block
from training.data.split import RowNumbers
from training.data.table import Table
from training.data.target_statistics import MOST_WORDS, fit_statistics
from training.errors import quoted

MASKED_SHARE = 0.02


def learn_features(
    table: Table,
    columns: tuple[Column, ...],
    x: Numbers,
    kept: NDArray[np.bool_],
    y: Numbers | RowNumbers,
    classes: tuple[str, ...],
    train: RowNumbers,
    weights: Numbers | None,
    seed: int,
) -> tuple[tuple[Column, ...], Numbers]:
    """The columns with their target statistics and first days, and the features of the kept rows.

    Args:
        table: The rows.
        columns: The columns; statistics and a first day that a column has already stay.
        x: The features of all rows, float64 [rows, features]: for a column that has to be learned what
            :func:`training.data.encoding.feature_block` gives before.
        kept: The rows that are kept, bool [rows].
        y: The target of the kept rows.
        classes: The classes; empty for a regression.
        train: The training rows among the kept ones.
        weights: Of the kept rows; None: all count alike.
        seed: Of the folds of the statistics, and of the masked words.

    Returns:
        The columns; and float64 [kept rows, features].
    """
    numbers = len(classes) - 1 if classes else y.reshape(len(y), -1).shape[1]
    numbers_a_word = max(1, numbers) * sum(column.by_target for column in columns)
    x = x if kept.all() else x[kept]
    if not any(_is_to_be_learned(column) or column.takes_other for column in columns):
        return columns, x
    learned, features = [], []
    blocks = np.split(x, np.cumsum([column.width for column in columns])[:-1], axis=1)
    for column, block in zip(columns, blocks, strict=True):
        if column.by_target and column.statistics is None:
            # Half of what a manifest may hold: [data.categories] has words too.
            most_words = min(MOST_WORDS, MAX_WIDTH // 2 // numbers_a_word)
            cells = words(table, column.name)[kept]
            statistics, encoded = fit_statistics(cells, y, classes, train, seed, most_words, weights)
            learned.append(replace(column, statistics=statistics))
            features.append(encoded)
        elif column.date_format and column.first_day is None:
            learned.append(replace(column, first_day=_first_day(block[train, 0])))
            features.append(feature_block(table, learned[-1])[kept])
        else:
            learned.append(column)
            features.append(block)
    return tuple(learned), mask_words(np.concatenate(features, axis=1), tuple(learned), train, seed)


def _is_to_be_learned(column: Column) -> bool:
    return (column.by_target and column.statistics is None) or (bool(column.date_format) and column.first_day is None)


def _first_day(days: Numbers) -> datetime.date:
    """The first of the days since 1970 in the training rows; the first day of 1970 if all are missing."""
    present = days[~np.isnan(days)]
    first = int(np.floor(present.min())) if len(present) else 0
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=first)


def warn_of_numbers_as_words(table: Table, columns: tuple[Column, ...]) -> list[str]:
    """Warn of numbers in `by_target`: right for codes, such as postal codes, and wrong for measurements."""
    warnings = []
    for column in columns:
        if not column.by_target:
            continue
        values, is_text = table.numbers(column.name)
        distinct = len(np.unique(values[~np.isnan(values)]))
        if distinct and not is_text.any():
            warnings.append(
                f"column {quoted(column.name)} in by_target holds numbers, {distinct:,} different ones: each is a word "
                "of its own, and a number that training never saw is answered by the mean; right for codes, but take "
                "the column out of by_target if it holds measurements"
            )
    return warnings


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
    if not any(column.takes_other for column in columns):
        return x
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
