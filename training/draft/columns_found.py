"""What `kan-train init` tells of a table whose target is not named: its columns, so that one can be chosen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.column import distinct_words
from training.data.table import Decimal, Table
from training.draft.inspection import ColumnFacts, Kind, facts_of_columns, read_shown
from training.errors import quoted

_MOST_SHOWN = 50
_MOST_VALUES = 3
_ROWS_LOOKED_AT = 1000
_MOST_CHARACTERS = 24


@dataclass(frozen=True)
class FoundColumn:
    """A column of a table.

    Attributes:
        name: Its name.
        kind: What its cells are.
        distinct: Number of different values, without missing ones.
        missing: Number of cells without a value.
        values: The first different ones, as they stand in the table.
    """

    name: str
    kind: Kind
    distinct: int
    missing: int
    values: tuple[str, ...]


@dataclass(frozen=True)
class FoundColumns:
    """The columns of a table in file order, and the number of its rows."""

    source: str
    rows: int
    columns: tuple[FoundColumn, ...]

    @property
    def example(self) -> str | None:
        """The last column of numbers or words, since many tables end with what is asked; None: there is no such one.

        A name that a line cannot show, or that a command takes for an option, is no example.
        """
        able = [each.name for each in self.columns if each.kind in ("numbers", "words") and each.distinct > 1]
        shown = [name for name in able if name.isprintable() and not name.startswith("-")]
        return shown[-1] if shown else None


def find_columns(path: Path, decimal: Decimal | None = None) -> FoundColumns:
    """The columns of a table.

    Args:
        path: A CSV or Parquet file.
        decimal: The mark before the decimals of numbers; None: as the table shows it.

    Raises:
        DataError: the file cannot be read as a table.
    """
    table = read_shown(path, decimal)
    return FoundColumns(table.source, table.rows, tuple(_found(table, facts) for facts in facts_of_columns(table)))


def column_lines(found: FoundColumns) -> list[str]:
    """A table for people, with a line of headings; at most 50 columns."""
    rows = [("column", "kind", "missing", "values")]
    for each in found.columns[:_MOST_SHOWN]:
        kind = each.kind if each.kind in ("numbers", "empty") else f"{each.distinct:,} {each.kind}"
        values = "; ".join(each.values if each.kind == "numbers" else map(quoted, map(_shortened, each.values)))
        more = "; …" if each.distinct > len(each.values) else ""
        rows.append((quoted(each.name), kind, f"{each.missing:,}" if each.missing else "", f"{values}{more}"))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [f"{found.source}: {found.rows:,} rows, {len(found.columns):,} columns"]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    left = len(found.columns) - _MOST_SHOWN
    return [*lines, f"and {left:,} columns more; --json tells all"] if left > 0 else lines


def _found(table: Table, facts: ColumnFacts) -> FoundColumn:
    return FoundColumn(facts.name, facts.kind, facts.distinct, facts.missing, _first_values(table, facts.name))


def _first_values(table: Table, name: str) -> tuple[str, ...]:
    """Different cells that are not missing, of the first rows."""
    texts = distinct_words(table, name)
    codes = texts.codes[:_ROWS_LOOKED_AT]
    cells = [str(texts.distinct[code]) for code in codes[np.sort(np.unique(codes, return_index=True)[1])]]
    return tuple([cell for cell in dict.fromkeys(cells) if cell][:_MOST_VALUES])


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _MOST_CHARACTERS else cell[: _MOST_CHARACTERS - 1] + "…"
