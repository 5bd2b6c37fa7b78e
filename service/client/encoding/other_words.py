"""Cells whose word the model has no input for, and that it takes as "other": how many, in which columns."""

from collections import Counter
from collections.abc import Sequence

from kan_api.cells import quoted


class OtherWords:
    """Counts the cells of encoded rows that hold none of their column's words.

    Such a cell is encoded by zeros. Training had such rows too: it pooled rare words, and masked words in some rows.
    """

    def __init__(self) -> None:
        self._cells: Counter[str] = Counter()
        self._first: tuple[str, object] | None = None

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self._cells.total()

    def add(self, column: str, cells: Sequence[object]) -> None:
        """Count these cells of a column."""
        if cells:
            self._first = self._first or (column, cells[0])
            self._cells[column] += len(cells)

    def summary(self) -> str:
        """One line for people, with the first cell as an example; "" if there was none."""
        if self._first is None:
            return ""
        column, cell = self._first
        shown = quoted(cell) if isinstance(cell, str) else repr(cell)[:60]
        cells = "1 cell" if self.cells == 1 else f"{self.cells} cells"
        columns = "1 column" if len(self._cells) == 1 else f"{len(self._cells)} columns"
        verb = "holds a word" if self.cells == 1 else "hold words"
        return (
            f"{cells} of {columns} {verb} that the model does not know: taken as other; the first is "
            f"{shown} in column {quoted(column)}"
        )
