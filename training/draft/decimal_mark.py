"""Which mark a table of text has before its decimals: a point, or the comma of many European exports."""

import re

import numpy as np

from training.data.column import looks_like_other_decimal
from training.data.table import Decimal, Table
from training.errors import quoted

_CELLS_LOOKED_AT = 1000
# One to three digits and a group of three: 1,234 may be a thousand as well as a little more than one.
_MAY_BE_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2},\d{3}\s*")


def find_decimal(table: Table) -> Decimal:
    """A comma if the table shows it beyond doubt, else a point.

    A comma needs a column with decimal commas, a cell among them that cannot be a thousand, and no column of text with
    decimal points. Example: 3,14 has a decimal comma; 1,234 alone leaves the question open.

    Args:
        table: Read with decimal points.
    """
    certain = False
    for name in table.cells:
        if has_other_decimals(table, name):
            certain = certain or not all(_MAY_BE_THOUSANDS.fullmatch(cell) for cell in _marked(table, name))
        elif table.lines is not None and _has_points(table, name):
            return "."
    return "," if certain else "."


def has_other_decimals(table: Table, column: str) -> bool:
    """Whether most text cells of a column are numbers with the mark that the table's decimals do not have."""
    if not table.numbers(column)[1].any():
        return False
    present = [cell for cell in table.texts(column).distinct[:_CELLS_LOOKED_AT].tolist() if cell.strip()]
    return len(_marked(table, column)) > len(present) / 2


def describe_other_decimals(table: Table, column: str) -> str:
    """Why such a column cannot be used, with a cell of it, and what to do; "" for any other column."""
    if not has_other_decimals(table, column):
        return ""
    cell = quoted(_marked(table, column)[0])
    if table.decimal == ",":
        return f"decimal points, as in {cell}, and the table's decimals have commas; write all with one mark"
    return (
        f'decimal commas, as in {cell}; --decimal "," reads them (pandas: decimal=","), and commas between thousands '
        "must be removed"
    )


def _marked(table: Table, column: str) -> list[str]:
    """The first different cells of a column that are numbers with the other mark."""
    cells = table.texts(column).distinct[:_CELLS_LOOKED_AT].tolist()
    return [cell for cell in cells if looks_like_other_decimal(table, cell)]


def _has_points(table: Table, column: str) -> bool:
    values, is_text = table.numbers(column)
    present = values[np.isfinite(values)]
    return not is_text.any() and bool((present != np.floor(present)).any())
