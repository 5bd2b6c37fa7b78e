"""Inspect a table column by column: the facts from which a recipe is drafted."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kan_api.cells import MISSING_NUMBERS
from kan_api.dates import is_missing_date
from training.data.column import looks_like_dates, times, too_large, words
from training.data.float32_limits import input_flaw
from training.data.table import Cells, Decimal, Table, read_table
from training.draft.date_cells import FEWEST_DATES, date_form, describe_stray, may_be_dates
from training.draft.decimal_mark import find_decimal
from training.errors import DataError, quoted

MOST_WORDS = 20
FEWEST_ROWS_OF_WORD = 5

# For people: the marks of a missing cell among numbers.
_MISSING = ", ".join(sorted(MISSING_NUMBERS - {""}))

Kind = Literal["empty", "numbers", "words", "text", "dates"]


@dataclass(frozen=True)
class ColumnFacts:
    """One column of the table.

    kind       "words" has at most 20 different ones, "text" more; "empty" has no value at all
    missing    number of cells without a value
    distinct   number of different values, without missing ones
    low, high  range of numbers, else NaN
    is_whole   True if all numbers are whole
    date_form  the format of a column of dates, of kan_api.dates; "" if no format fits all
    is_ordered True if numbers or dates never fall, or never rise, from row to row
    words      the words of a column of words, in alphabetical order
    rare       those of them that fewer than 5 rows hold; empty if all are rare
    flaw       why the column's numbers or dates cannot be used (an infinite cell, a few cells of text), or ""
    doubt      what a person may want to mend in a column that can be used (nearly dates or mostly numbers, but for
               some cells), or ""
    """

    name: str
    kind: Kind
    missing: int
    distinct: int
    low: float = np.nan
    high: float = np.nan
    is_whole: bool = False
    is_ordered: bool = False
    date_form: str = ""
    words: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    flaw: str = ""
    doubt: str = ""

    @property
    def own_words(self) -> tuple[str, ...]:
        """The words that get an input of their own: "" if cells are missing, then all that are not rare."""
        kept = tuple(word for word in self.words if word not in self.rare)
        return ("", *kept) if kept and self.missing else kept


@dataclass(frozen=True)
class Inspection:
    """A table, its path, the column to predict, and the facts of every named column in file order."""

    path: Path
    table: Table
    target: str
    columns: tuple[ColumnFacts, ...]

    def facts(self, column: str) -> ColumnFacts:
        """The facts of the column with this name."""
        return next(facts for facts in self.columns if facts.name == column)


def inspect(path: Path, target: str, decimal: Decimal | None = None) -> Inspection:
    """Read a table and collect the facts of every column.

    Args:
        path: A CSV or Parquet file.
        target: The column to predict.
        decimal: The mark before the decimals of numbers; None: as the table shows it.

    Raises:
        DataError: the file cannot be read as a table, or has no such column.
    """
    return inspect_table(path, read_shown(path, decimal), target)


def inspect_table(path: Path, table: Table, target: str) -> Inspection:
    """As :func:`inspect`, of a table that was read already, or that no file holds; then the path only names it.

    Raises:
        DataError: the table has no such column.
    """
    table.require(target, "the target")
    return Inspection(path, table, target, facts_of_columns(table))


def read_shown(path: Path, decimal: Decimal | None = None) -> Table:
    """Read a table with the mark before its decimals, or with the one that it shows; errors as of :func:`inspect`."""
    table = read_table(path, decimal or ".")
    return read_table(path, ",") if decimal is None and find_decimal(table) == "," else table


def facts_of_columns(table: Table) -> tuple[ColumnFacts, ...]:
    """The facts of every column, in file order."""
    return tuple(_facts(table, name) for name in table.cells)


def _facts(table: Table, name: str) -> ColumnFacts:
    values, is_text = table.numbers(name)
    texts = int(is_text.sum())
    present = values[~np.isnan(values)]
    cells = words(table, name) if texts or not len(present) or may_be_dates(present) else None
    if cells is None:
        return _number_facts(table, name, values)
    filled = [cell for cell in cells.tolist() if cell != ""]
    distinct = sorted(set(filled))
    missing = len(cells) - len(filled)
    if not distinct or (texts == 0 and not len(present)):  # "None" and "-" are words, but no numbers either.
        return ColumnFacts(name, "empty", len(cells), 0)
    form = date_form([word for word in distinct if not is_missing_date(word)])
    if texts == 0 and not form:
        return replace(_number_facts(table, name, values), doubt=describe_stray(table, cells))
    if texts == 0 or looks_like_dates(cells) or (form and len(distinct) >= FEWEST_DATES):
        return _date_facts(table, name, cells, form)
    if name in table.nested:
        return ColumnFacts(name, "text", missing, len(distinct), flaw=table.nested[name])
    stray = describe_stray(table, cells)
    if len(distinct) <= MOST_WORDS:
        counts = Counter(filled)
        rare = tuple(word for word in distinct if counts[word] < FEWEST_ROWS_OF_WORD)
        if len(rare) == len(distinct):
            rare = ()
        # Of codes such as "1", "2", "A" and "B" about as many are texts.
        is_code = len(np.unique(present)) <= len(set(cells[is_text].tolist()))
        doubt = stray or ("" if is_code else _describe_text(table, cells, is_text, present))
        return ColumnFacts(name, "words", missing, len(distinct), words=tuple(distinct), rare=rare, doubt=doubt)
    flaw = stray or _describe_text(table, cells, is_text, present)
    return ColumnFacts(name, "text", missing, len(distinct), flaw=flaw)


def _describe_text(table: Table, cells: Cells, is_text: NDArray[np.bool_], present: NDArray[np.float64]) -> str:
    """Which cell keeps a column from being numbers; "" if the numbers are not more than the texts."""
    texts = int(is_text.sum())
    if len(present) <= texts:
        return ""
    row = int(np.argmax(is_text))
    count = "1 cell is no number" if texts == 1 else f"{texts:,} cells are no numbers"
    return (
        f"mostly numbers, but {table.place(row)} holds {quoted(str(cells[row]))} ({count}); to use it as numbers, "
        f"empty or correct such cells ({_MISSING} count as empty)"
    )


def _date_facts(table: Table, name: str, cells: Cells, form: str) -> ColumnFacts:
    missing, distinct = sum(is_missing_date(cell) for cell in cells.tolist()), len(set(cells.tolist()) - {""})
    try:
        seconds = times(table, name)
    except DataError as error:
        flaw = describe_stray(table, cells) or str(error).removeprefix(str(table.problem(name, "")))
        return ColumnFacts(name, "dates", missing, distinct, flaw=flaw)
    # Counted as times: two spellings of one time, for example in two time zones, count once.
    count = len(np.unique(seconds[~np.isnan(seconds)]))
    return ColumnFacts(
        name,
        "dates",
        missing,
        count,
        is_ordered=_is_ordered(seconds),
        date_form=form,
        flaw="" if form else describe_stray(table, cells),
    )


def _number_facts(table: Table, name: str, values: NDArray[np.float64]) -> ColumnFacts:
    present = values[~np.isnan(values)]
    flaw = too_large(table, values)
    if not flaw and (reason := input_flaw(float(present.min()), float(present.max()))):
        flaw = f"it holds {reason}"
    return ColumnFacts(
        name,
        "numbers",
        missing=len(values) - len(present),
        distinct=len(np.unique(present)),
        low=float(present.min()),
        high=float(present.max()),
        is_whole=bool((present == np.floor(present)).all()),
        is_ordered=_is_ordered(values),
        flaw=flaw,
    )


def _is_ordered(values: NDArray[np.float64]) -> bool:
    if np.isnan(values).any() or len(values) < 2 or np.isinf(values).any():
        return False
    steps = np.diff(values)
    return bool((steps >= 0).all() or (steps <= 0).all())
