"""The reference row of a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.data.encoding import Column, Numbers

Row32 = NDArray[np.float32]


@dataclass(frozen=True)
class ReferenceRow:
    """The row that answers are compared with, and how features are summed.

    Attributes:
        values: ``[features]``, raw.
        columns: The names of the columns.
        column_of: For each feature the place of its column.
        from_histograms: The values come from a manifest, because there was no table.
    """

    values: Row32
    columns: tuple[str, ...]
    column_of: tuple[int, ...]
    from_histograms: bool = False


def reference_of_table(dataset: Dataset) -> ReferenceRow:
    """Medians of the training rows, without missing values; of a column of words the most frequent word.

    The three features of a column of dates are those of one row, whose date is the median. A column without any value
    in the training rows has the values that fill its gaps.
    """
    values: list[float] = []
    for column in dataset.columns:
        places = slice(len(values), len(values) + column.width)
        block = dataset.x[dataset.train, places]
        if np.isnan(block).any(axis=1).all():
            values += [0.0 if value is None else value for value in dataset.imputed[places]]
        else:
            values += _typical(dataset, column, block).tolist()
    names = [column.name for column in dataset.columns]
    column_of = tuple(names.index(feature.column) for feature in dataset.features)
    return ReferenceRow(np.array(values, dtype=np.float32), tuple(names), column_of)


def median_of_columns(names: Sequence[str], rows: Numbers) -> ReferenceRow:
    """Of a table in which each column is one feature without missing values."""
    return ReferenceRow(np.median(rows, axis=0).astype(np.float32), tuple(names), tuple(range(len(names))))


def _typical(dataset: Dataset, column: Column, block: Numbers) -> Numbers:
    """The reference values of a column's features, for its training rows ``block`` [rows, features]."""
    present = block[~np.isnan(block).any(axis=1)]
    if column.categories:
        ones: Numbers = np.eye(column.width)[int(np.argmax(present.sum(axis=0)))]
        return ones
    if column.statistics is not None:
        # The training rows hold numbers that other rows of their word gave; the statistics are of all of them.
        count = Counter(dataset.spelled[column.name][dataset.train].tolist())
        word = max(column.statistics.words, key=lambda each: count[each], default="")
        encoded: Numbers = column.statistics.encode(np.array([word], dtype=object))[0]
        return encoded
    if column.date_format:
        date: Numbers = present[np.argsort(present[:, 0], kind="stable")[(len(present) - 1) // 2]]
        return date
    median: Numbers = np.median(present, axis=0)
    return median
