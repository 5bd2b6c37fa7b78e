"""Cells of a column of numbers. They are read by the same rules as in training."""

import numbers
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kan_api.cells import MISSING_NUMBERS, THOUSANDS_REMEDY, has_thousands
from service.client.encoding.table_rows import Decimal, TableRows, cell_fault, show_cell

_LARGEST: Final = float(np.finfo(np.float32).max)
FINITE_WANTED: Final = f"wanted a finite number of float32 (below {_LARGEST:.1e})"
_OTHER_DECIMAL: Final = {
    decimal: re.compile(rf"\s*[-+]?\d+{other}\d+([eE][-+]?\d+)?\s*") for decimal, other in ((".", ","), (",", r"\."))
}
_REMEDY: Final = {
    ".": 'decimals are written with a point; of a file kan-client reads commas with --decimal ","',
    ",": 'decimals are written with a comma, because of --decimal ","',
}
# A point becomes a comma, which float() refuses: 1.234 may mean a thousand.
_COMMA_FOR_POINT: Final = str.maketrans(",.", ".,")


def numbers_of(name: str, rows: TableRows) -> NDArray[np.float64]:
    """One column as numbers.

    Returns:
        float64 [rows]; NaN for a missing cell.

    Raises:
        InvalidInput: for the first cell that is not a number and not missing, is infinite or is too large for float32.
    """
    cells = rows.columns[name]
    values = _plain_numbers(cells, rows.decimal)
    if values is None:
        values = np.array([_number(row, name, rows) for row in range(rows.count)], dtype=np.float64)
    too_large = np.abs(values) > _LARGEST
    if too_large.any():
        row = int(np.argmax(too_large))
        raise cell_fault(row, name, rows, f"holds {show_cell(cells[row])}, {FINITE_WANTED}")
    return values


def _plain_numbers(cells: Sequence[object], decimal: Decimal) -> NDArray[np.float64] | None:
    """The numbers of a column where every cell is the text of a number, fast; None for any other column."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    # float("1_000") is 1000 in Python. In a table such a text is no number.
    if len(texts) < len(cells) or "_" in "".join(texts):
        return None
    try:
        return np.array([_float(text, decimal) for text in texts], dtype=np.float64)
    except ValueError:
        return None


def _number(row: int, name: str, rows: TableRows) -> float:
    cell = rows.columns[name][row]
    if cell is None:
        return np.nan
    if isinstance(cell, numbers.Real) and not isinstance(cell, bool):
        try:
            return float(cell)
        except OverflowError:
            return np.inf
    if isinstance(cell, str):
        if cell.strip().lower() in MISSING_NUMBERS:
            return np.nan
        try:
            if "_" not in cell:
                return _float(cell, rows.decimal)
        except ValueError:
            pass
    raise cell_fault(row, name, rows, f"holds {show_cell(cell)}, wanted a number{_hint(cell, rows.decimal)}")


def _hint(cell: object, decimal: Decimal) -> str:
    """What to do about a cell that has other marks than the numbers of its file; "" for any other cell."""
    if isinstance(cell, str) and has_thousands(cell):
        return f" ({THOUSANDS_REMEDY})"
    other_mark = isinstance(cell, str) and _OTHER_DECIMAL[decimal].fullmatch(cell)
    return f" ({_REMEDY[decimal]})" if other_mark else ""


def _float(text: str, decimal: Decimal) -> float:
    return float(text if decimal == "." else text.translate(_COMMA_FOR_POINT))
