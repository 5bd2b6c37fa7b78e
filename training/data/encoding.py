"""Columns of numbers and words as features, and words of the target as classes."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kan_api.dates import FORMATS, PARTS, date_numbers, is_missing_date, read_date
from training.data.column import numbers, words
from training.data.split import RowNumbers
from training.data.table import Cells, Table
from training.data.target_statistics import Statistics
from training.errors import DataError, quoted, quoted_list
from training.recipe.sections import DataSection

Numbers = NDArray[np.float64]
_OF_A_MODEL = "the model was fitted to numbers in this column"


@dataclass(frozen=True)
class Column:
    """A column of the user's table: of numbers, or of the words in ``categories`` ("" is a missing cell).

    With ``takes_other`` a cell that is none of the words is "other": all features of the column are 0. With
    ``by_target`` any word is encoded by the ``statistics``, which are None until they are known. With a
    ``date_format`` of kan_api.dates the cells are dates, and days count from ``first_day``, of the training rows.
    """

    name: str
    categories: tuple[str, ...] = ()
    takes_other: bool = False
    by_target: bool = False
    statistics: Statistics | None = field(default=None, compare=False)
    date_format: str = ""
    first_day: datetime.date | None = field(default=None, compare=False)

    @property
    def is_of_words(self) -> bool:
        """Whether the cells are words, not numbers or dates."""
        return self.by_target or bool(self.categories)

    @property
    def keeps_cells(self) -> bool:
        """Whether the features may not tell the cell, so that a table of the rows needs the cells themselves."""
        return self.by_target or self.takes_other or bool(self.date_format)

    @property
    def width(self) -> int:
        """Number of features."""
        if self.date_format:
            return len(PARTS)
        return len(self.statistics.prior) if self.statistics else max(1, len(self.categories))


@dataclass(frozen=True)
class Feature:
    """A column of the matrix: numbers; or, for a column of words, 1 where the word is `category`, else 0.

    For a column by target statistics with several numbers, `category` is the class that a number is about; for a
    column of dates it is "days", "month" or "weekday".
    """

    name: str
    column: str
    category: str | None = None


def columns_of(data: DataSection, names: Iterable[str]) -> tuple[Column, ...]:
    """The columns of these names, as the recipe encodes them."""
    words = data.categories
    return tuple(
        Column(
            name,
            words.get(name, ()),
            name in words and data.unseen == "other",
            name in data.by_target,
            date_format=data.dates.get(name, ""),
        )
        for name in names
    )


def features_of(table: Table, columns: tuple[Column, ...]) -> tuple[Feature, ...]:
    """The features of the columns, in order.

    Raises:
        DataError: two features would have the same name.
    """
    features = []
    for column in columns:
        features += [Feature(f"{column.name}={word}", column.name, word) for word in column.categories]
        if column.statistics:
            labels = column.statistics.labels
            features += [Feature(f"{column.name} by target: {each}", column.name, each) for each in labels]
            features += [Feature(f"{column.name} by target", column.name)] * (not labels)
        elif column.date_format:
            features += [Feature(f"{column.name}: {part}", column.name, part) for part in PARTS]
        elif not column.categories:
            features.append(Feature(column.name, column.name))
    names = [feature.name for feature in features]
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise DataError(f"{table.source}: two inputs would be called {quoted(twice)}; rename a column")
    return tuple(features)


def gap_input_name(feature: str) -> str:
    """The name of the network input that is 1 where the feature is missing."""
    return f"{feature} missing"


def feature_matrix(
    table: Table, columns: tuple[Column, ...], *, are_fitted: bool = False
) -> tuple[Numbers, list[Numbers]]:
    """The features of all columns side by side.

    Args:
        table: The rows.
        columns: Which columns, and how each is encoded.
        are_fitted: Whether a model already reads the columns so: then no key of a recipe can change it.

    Returns:
        float64 [rows, features], and the part of each column in it, which is no copy.

    Raises:
        DataError: as :func:`feature_block`.
    """
    widths = [column.width for column in columns]
    x = np.empty((table.rows, sum(widths)))
    parts = np.split(x, np.cumsum(widths)[:-1], axis=1)
    for part, column in zip(parts, columns, strict=True):
        part[:] = feature_block(table, column, is_fitted=are_fitted)
    return x, parts


def feature_block(table: Table, column: Column, *, is_fitted: bool = False) -> Numbers:
    """The features of one column; ``is_fitted`` as of :func:`feature_matrix`.

    Returns:
        float64 [rows, features of the column], rounded to float32; a row of NaN where the cell is missing; a row of
        zeros where it is "other". As long as they are not known, 0 for target statistics, and days since 1970.

    Raises:
        DataError: a cell is no number, or none of the column's words. The message names the first such cell.
    """
    if column.by_target:
        cells = words(table, column.name)
        return column.statistics.encode(cells) if column.statistics else np.zeros((len(cells), 1))
    if column.date_format:
        return _date_block(table, column, is_fitted=is_fitted)
    if not column.categories:
        suggest = partial(_suggest_key, column.name)
        cells = numbers(table, column.name, (lambda _: _OF_A_MODEL) if is_fitted else suggest)
        return cells.astype(np.float32).astype(np.float64).reshape(-1, 1)
    cells = words(table, column.name, known=column.categories)
    codes = _places(cells, column.categories)
    unknown = (codes < 0) & (cells != "")
    if not column.takes_other and unknown.any():
        row = int(np.argmax(unknown))
        known = "the words that the model was fitted to" if is_fitted else "its words in [data.categories]"
        remedy = "" if is_fitted else '; or set [data] unseen = "other"'
        stray = f"{table.place(row)} holds {quoted(str(cells[row]))}, which is not among {known}"
        raise table.problem(column.name, f"{stray}: {quoted_list(column.categories)}{remedy}")
    block: Numbers = np.eye(len(column.categories))[codes]
    block[codes < 0] = 0.0 if column.takes_other else np.nan
    return block


def _suggest_key(column: str, distinct: Sequence[str]) -> str:
    """What to write into the recipe for a column whose cells are no numbers."""
    cells = [cell for cell in distinct if not is_missing_date(cell)]
    read = {form: [cell for cell in cells if read_date(cell, form) is not None] for form in FORMATS}
    most = max(map(len, read.values()))
    if most > len(cells) / 2:
        forms = [form for form in FORMATS if len(read[form]) == most]
        advice = f"for dates add {' or '.join(f'{quoted(column)} = {quoted(form)}' for form in forms)} to [data.dates]"
        dates = set(read[forms[0]])
        stray = next((cell for cell in cells if cell not in dates), None)
        return advice if stray is None else f"{advice}, and empty or correct cells such as {quoted(stray)}"
    return "for words add the column to [data.categories], with its words, or to [data] by_target"


def _date_block(table: Table, column: Column, *, is_fitted: bool) -> Numbers:
    cells = words(table, column.name)
    first_day = column.first_day or datetime.date(1970, 1, 1)
    read: dict[str, tuple[float, float, float]] = {}
    for cell in set(cells):
        moment = None if is_missing_date(cell) else read_date(cell, column.date_format)
        if moment is not None:
            read[cell] = date_numbers(moment, first_day)
        elif is_missing_date(cell):
            read[cell] = (np.nan, np.nan, np.nan)
    strange = np.array([cell not in read for cell in cells])
    if strange.any():
        row = int(np.argmax(strange))
        place = "that the model was fitted to" if is_fitted else "in [data.dates]"
        raise table.problem(
            column.name,
            f"{table.place(row)} holds {quoted(str(cells[row]))}, which is no date of the format "
            f"{quoted(column.date_format)} {place}; correct the cell or leave it empty",
        )
    block = np.array([read[cell] for cell in cells]).reshape(-1, len(PARTS))
    return block if column.first_day is None else block.astype(np.float32).astype(np.float64)


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
