"""Some rows of a table as their cells, before they are encoded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kan_api.cells import quoted
from service.client.errors import InvalidInput

# As pandas calls it.
Decimal = Literal[".", ","]


@dataclass(frozen=True)
class TableRows:
    """Some rows of a table, column by column.

    columns  the cells of each column: text, as in a CSV file, or numbers, booleans and None, as in JSON
    count    number of rows
    place    gives the position of row n in words, for messages
    ignored  names of columns in the table that the model does not need
    decimal  the mark before the decimals of numbers that are text
    """

    columns: Mapping[str, Sequence[object]]
    count: int
    place: Callable[[int], str]
    ignored: tuple[str, ...] = ()
    decimal: Decimal = "."


def show_cell(cell: object) -> str:
    """A cell in a message."""
    return quoted(cell) if isinstance(cell, str) else repr(cell)[:60]


def cell_fault(row: int, name: str, rows: TableRows, text: str) -> InvalidInput:
    """An error about one cell; the caller raises it."""
    return InvalidInput(f"{rows.place(row)}: column {quoted(name)} {text}")
