"""Named columns of equal length, each as text, as numbers or as different texts with codes."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.data.table.cell_values import Cells, Decimal, Flags, Texts, Values, parse_numbers, texts_of
from training.data.table.quick_cells import QuickCells
from training.errors import DataError, quoted, quoted_list


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    `cells` holds for each column, in file order, either float64 numbers (NaN: missing) or an object array of str ("":
    missing). Of a text file such an array may be made anew each time: `numbers` and `texts` are quicker. `lines` is the
    line of the file at which each row starts; None for a file without lines (Parquet). `decimal` is the mark before the
    decimals of numbers that are text. `is_in_memory`: a program gave the cells; no option of ours reads
    them otherwise. `nested` says of each column with lists or the like in its cells which row holds one.
    """

    source: str
    cells: Mapping[str, Cells]
    rows: int
    lines: NDArray[np.int64] | None = None
    unnamed_columns: int = 0
    decimal: Decimal = "."
    is_in_memory: bool = False
    nested: Mapping[str, str] = field(default_factory=dict)

    def numbers(self, column: str) -> tuple[Values, Flags]:
        """As :func:`training.data.table.cell_values.parse_numbers` of the column's cells; not to be written to."""
        if isinstance(self.cells, QuickCells):
            return self.cells.numbers(column)
        return parse_numbers(self.cells[column], self.decimal)

    def texts(self, column: str) -> Texts:
        """The column's cells as different texts and their codes."""
        return self.cells.texts(column) if isinstance(self.cells, QuickCells) else texts_of(self.cells[column])

    def place(self, row: int) -> str:
        """The row's number, counted from 1 without the header, and its line in the file: "row 2 (line 3)"."""
        return f"row {row + 1}" if self.lines is None else f"row {row + 1} (line {self.lines[row]})"

    def problem(self, column: str, text: str) -> DataError:
        """An error about one column; the caller raises it."""
        return DataError(f"{self.source}: column {quoted(column)}: {text}")

    def require(self, column: str, why: str) -> None:
        """Raise DataError, with the nearest names, unless the table has the column; also if its cells hold lists."""
        if column in self.nested:
            raise self.problem(column, f"{self.nested[column]} ({why})")
        if column in self.cells:
            return
        names = list(self.cells)
        near = difflib.get_close_matches(column, names, n=3, cutoff=0.5)
        near += [name for name in names if name.strip().lower() == column.strip().lower() and name not in near]
        known = f"the columns are {quoted_list(names)}"
        if near:
            known = f"the nearest {'is' if len(near) == 1 else 'are'} {quoted_list(near)}"
        if all(re.fullmatch(r"\s*[-+.\deE]+\s*", name) for name in names):
            known += "; the first line holds numbers only, is the header missing?"
        raise DataError(f"{self.source}: there is no column {quoted(column)} ({why}); {known}")
