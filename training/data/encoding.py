"""Columns of numbers and words as features, and words of the target as classes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.column import numbers, words
from training.data.split import RowNumbers
from training.data.table import Cells, Table
from training.errors import DataError, quoted, quoted_list

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """A column of the user's table: of numbers, or of the words in ``categories`` ("" is a missing cell)."""

    name: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feature:
    """A column of the matrix: numbers; or, for a column of words, 1 where the word is `category`, else 0."""

    name: str
    column: str
    category: str | None = None


def features_of(table: Table, columns: tuple[Column, ...]) -> tuple[Feature, ...]:
    """The features of the columns, in order.

    Raises:
        DataError: two features would have the same name.
    """
    features = []
    for column in columns:
        features += [Feature(f"{column.name}={word}", column.name, word) for word in column.categories]
        features += [Feature(column.name, column.name)] * (not column.categories)
    names = [feature.name for feature in features]
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise DataError(f"{table.source}: two inputs would be called {quoted(twice)}; rename a column")
    return tuple(features)


def feature_matrix(table: Table, columns: tuple[Column, ...]) -> tuple[Numbers, list[Numbers]]:
    """The features of all columns side by side.

    Returns:
        float64 [rows, features], and the part of each column in it, which is no copy.

    Raises:
        DataError: as :func:`feature_block`.
    """
    widths = [max(1, len(column.categories)) for column in columns]
    x = np.empty((table.rows, sum(widths)))
    parts = np.split(x, np.cumsum(widths)[:-1], axis=1)
    for part, column in zip(parts, columns, strict=True):
        part[:] = feature_block(table, column)
    return x, parts


def feature_block(table: Table, column: Column) -> Numbers:
    """The features of one column.

    Returns:
        float64 [rows, 1 or number of words], rounded to float32; a row of NaN where the cell is missing.

    Raises:
        DataError: a cell is no number, or none of the column's words. The message names the first such cell.
    """
    if not column.categories:
        return numbers(table, column.name).astype(np.float32).astype(np.float64).reshape(-1, 1)
    cells = words(table, column.name, known=column.categories)
    codes = _places(cells, column.categories)
    unknown = (codes < 0) & (cells != "")
    if unknown.any():
        row = int(np.argmax(unknown))
        raise table.problem(
            column.name,
            f"{table.place(row)} holds {quoted(str(cells[row]))}, which is not among its words in [data.categories]: "
            f"{quoted_list(column.categories)}",
        )
    block: Numbers = np.eye(len(column.categories))[codes]
    block[codes < 0] = np.nan
    return block


def encode_classes(
    table: Table, target: str, target_words: Cells, known: tuple[str, ...] | None = None
) -> tuple[RowNumbers, tuple[str, ...]]:
    """Number the target's words.

    Args:
        table: The rows, for messages.
        target: Name of the target.
        target_words: str [rows].
        known: The classes in their order, of which the rows may lack some; None: the classes are those of the rows.

    Returns:
        int64 [rows], the class number of each row; and the classes. These are ``known``, or the words of the rows,
        sorted as numbers if all are numbers, else alphabetically.

    Raises:
        DataError: every row has a class of its own, or all have the same; or a row's class is none of ``known``.
    """
    names = set(target_words.tolist())
    if known is not None:
        if strange := sorted(names - set(known)):
            raise table.problem(target, f"{quoted(strange[0])} is none of the classes {quoted_list(known)}")
        return _places(target_words, known), known
    if len(names) == 1:
        raise table.problem(target, f"the target is {quoted(target_words[0])} in every row; there is nothing to learn")
    if len(names) == len(target_words) and len(target_words) > 2:
        raise table.problem(
            target, f"each of the {len(target_words)} rows has a class of its own; nothing repeats to learn"
        )
    try:
        classes = tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        classes = tuple(sorted(names))
    return _places(target_words, classes), classes


def _places(cells: Cells, words: tuple[str, ...]) -> RowNumbers:
    """The place of each cell among the words; -1 for a cell that is none of them."""
    return pd.Index(words, dtype=object).get_indexer(pd.Index(cells, dtype=object)).astype(np.int64)
