"""Some rows of a file, those among them that cannot be read, and rows taken out of a block."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.client.encoding.table_rows import TableRows


@dataclass(frozen=True)
class FileBlock:
    """Consecutive rows of a file.

    rows    all rows. A row that cannot be read is there too: its cells are empty, or as far as they are known.
    faults  for each row that cannot be read: what is wrong with it, with its place in the file
    """

    rows: TableRows
    faults: Mapping[int, str]


def pick_rows(rows: TableRows, chosen: Sequence[int], names: Iterable[str] | None = None) -> TableRows:
    """The table of the chosen rows, in that order. Their places in the file stay.

    Args:
        rows: the table.
        chosen: the numbers of the rows.
        names: the columns to take; None takes all.
    """
    columns = {}
    for name in rows.columns if names is None else names:
        cells = rows.columns[name]
        columns[name] = [cells[row] for row in chosen]
    return TableRows(columns, len(chosen), lambda row: rows.place(chosen[row]), rows.ignored, rows.decimal)


def part_of(block: FileBlock, first: int, most_rows: int) -> FileBlock:
    """The rows of a block from `first` on, at most so many."""
    chosen = range(first, min(first + most_rows, block.rows.count))
    faults = {row - first: why for row, why in block.faults.items() if row in chosen}
    return FileBlock(pick_rows(block.rows, chosen), faults)


def name_place(source: str, row: int, line: int) -> str:
    """The position of a row in words: its number, counted from 1 without the header, and its line."""
    return f"{source}: row {row + 1} (line {line})"


def name_places(source: str, first: int, line_of: Callable[[int], int]) -> Callable[[int], str]:
    """A function that gives the position of row n of a block in words.

    Args:
        source: name of the file.
        first: the number of the block's first row, counted from 0.
        line_of: gives the line where row n of the block begins.
    """
    return lambda row: name_place(source, first + row, line_of(row))
