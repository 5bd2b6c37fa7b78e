"""Inspect a table column by column: the facts from which a recipe is drafted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.column import looks_like_dates, times, too_large, words
from training.data.float32_limits import input_flaw
from training.data.table import Table, read_table
from training.errors import DataError, quoted

MOST_WORDS = 20

Kind = Literal["empty", "numbers", "words", "text", "dates"]


@dataclass(frozen=True)
class ColumnFacts:
    """One column of the table.

    kind       "words" has at most 20 different ones, "text" more; "empty" has no value at all
    missing    number of cells without a value
    distinct   number of different values, without missing ones
    low, high  range of numbers, else NaN
    is_whole   True if all numbers are whole
    is_ordered True if numbers or dates never fall, or never rise, from row to row
    words      the words of a column of words, in alphabetical order
    flaw       why the column's numbers cannot be used (an infinite cell, a few cells of text), or ""
    """

    name: str
    kind: Kind
    missing: int
    distinct: int
    low: float = np.nan
    high: float = np.nan
    is_whole: bool = False
    is_ordered: bool = False
    words: tuple[str, ...] = ()
    flaw: str = ""


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


def inspect(path: Path, target: str) -> Inspection:
    """Read a table and collect the facts of every column.

    Args:
        path: A CSV or Parquet file.
        target: The column to predict.

    Raises:
        DataError: the file cannot be read as a table, or has no such column.
    """
    table = read_table(path)
    table.require(target, "the target")
    return Inspection(path, table, target, tuple(_facts(table, name) for name in table.cells))


def _facts(table: Table, name: str) -> ColumnFacts:
    values, is_text = table.numbers(name)
    texts = int(is_text.sum())
    present = values[~np.isnan(values)]
    if texts == 0 and len(present):
        return _number_facts(table, name, values)
    cells = words(table, name)
    filled = [cell for cell in cells.tolist() if cell != ""]
    distinct = sorted(set(filled))
    missing = len(cells) - len(filled)
    if not distinct:
        return ColumnFacts(name, "empty", missing, 0)
    if looks_like_dates(cells):
        try:
            seconds = times(table, name)
        except DataError:
            return ColumnFacts(name, "dates", missing, len(distinct))
        # Counted as times: two spellings of one time, for example in two time zones, count once.
        return ColumnFacts(
            name, "dates", missing, len(np.unique(seconds[~np.isnan(seconds)])), is_ordered=_is_ordered(seconds)
        )
    if len(distinct) <= MOST_WORDS:
        return ColumnFacts(name, "words", missing, len(distinct), words=tuple(distinct))
    flaw = ""
    if len(present) > texts:
        row = int(np.argmax(is_text))
        flaw = f"mostly numbers, but {table.place(row)} holds {quoted(str(cells[row]))} ({texts} cells like it)"
    return ColumnFacts(name, "text", missing, len(distinct), flaw=flaw)


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
