"""Which mark a table of text has before its decimals: a point, or the comma of many European exports.

Marks between thousands are recognised and told, and never read: 1.234 would be two numbers.
"""

import re

import numpy as np

from kan_api.cells import has_thousands
from training.data.column import looks_like_other_decimal
from training.data.table import Decimal, Table
from training.errors import DataError, quoted

_CELLS_LOOKED_AT = 1000
# One to three digits and groups of three: 1,234 may be a thousand as well as a little more than one.
_MAY_BE_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2}(,\d{3})+\s*")


def find_decimal(table: Table) -> Decimal:
    """A comma if the table shows it beyond doubt, else a point.

    A comma needs a column with decimal commas, a cell among them that cannot be a thousand, and no column of text with
    decimal points. Example: 3,14 has a decimal comma; 1,234 alone leaves the question open.

    Args:
        table: Read with decimal points.

    Raises:
        DataError: beside such a column the commas of another one may stand between thousands.
    """
    certain, unsure = list[str](), list[str]()
    for name in table.cells:
        if thousands := _may_be_thousands(table, name):
            unsure.append(f"{quoted(name)}, as in {quoted(thousands)}")
        elif has_other_decimals(table, name):
            certain.append(f"{quoted(name)}, as in {quoted(_telling(_marked(table, name)))}")
        elif table.lines is not None and _has_points(table, name):
            return "."
    if certain and unsure:
        raise DataError(
            f"{table.source}: column {certain[0]}, has decimal commas, but those of column {unsure[0]}, may stand "
            'between thousands; say --decimal "," if they do not, else remove them from the file, or leave out both '
            'with --decimal "."'
        )
    return "," if certain else "."


def has_other_decimals(table: Table, column: str) -> bool:
    """Whether most cells that are no whole numbers are numbers with the mark that the table's decimals do not have."""
    return len(_marked(table, column)) > len(_not_whole(table, column)) / 2


def describe_other_marks(table: Table, column: str) -> str:
    """Why a column of numbers with other marks cannot be used, with a cell of it and what to do; "" for any other."""
    if thousands := _describe_thousands(table, column):
        return thousands
    if not has_other_decimals(table, column):
        return ""
    cell = quoted(_marked(table, column)[0])
    if table.decimal == ",":
        return f"decimal points, as in {cell}, and the table's decimals have commas; write all with one mark"
    reader = 'pandas reads them with decimal=","' if table.is_in_memory else '--decimal "," reads them'
    return f"decimal commas, as in {cell}; {reader}, and commas between thousands must be removed"


def _describe_thousands(table: Table, column: str) -> str:
    """As `describe_other_marks`, of marks between thousands: a cell has them, and most texts are numbers with marks."""
    is_text = table.numbers(column)[1]
    if not is_text.any():
        return ""
    texts = table.texts(column)
    rows = np.flatnonzero(is_text)
    rows = rows[np.sort(np.unique(texts.codes[rows], return_index=True)[1])[:_CELLS_LOOKED_AT]]
    cells = [str(cell) for cell in texts.distinct[texts.codes[rows]]]
    found = [has_thousands(cell) for cell in cells]
    others = sum(looks_like_other_decimal(table, cell) for cell in cells)
    if not any(found) or sum(found) + others <= len(cells) / 2:
        return ""
    first = found.index(True)
    where = f"{table.place(int(rows[first]))} holds {quoted(cells[first])}"
    return f"numbers with marks of thousands: {where}; take the marks out"


def _may_be_thousands(table: Table, column: str) -> str:
    """A cell of a column whose commas may all stand between thousands, or do in a cell; "" for any other column."""
    cells = _not_whole(table, column)
    found = [cell for cell in cells if _MAY_BE_THOUSANDS.fullmatch(cell)]
    surely = [cell for cell in found if cell.count(",") > 1]
    others = [cell for cell in _marked(table, column) if cell not in found]
    if not found or (others and not surely) or len(found) + len(others) <= len(cells) / 2:
        return ""
    return (surely or found)[0]


def _telling(marked: list[str]) -> str:
    """A cell that cannot be a thousand, as 0,563; the first one if there is none."""
    return next((cell for cell in marked if not _MAY_BE_THOUSANDS.fullmatch(cell)), marked[0])


def _marked(table: Table, column: str) -> list[str]:
    """The first different cells of a column that are numbers with the other mark."""
    return [cell for cell in _not_whole(table, column) if looks_like_other_decimal(table, cell)]


def _not_whole(table: Table, column: str) -> list[str]:
    """The first different cells that are text, or numbers with decimals; [] if none is text.

    Whole numbers have no mark: of prices most may be whole.
    """
    values, is_text = table.numbers(column)
    if not is_text.any():
        return []
    texts = table.texts(column)
    rows = np.flatnonzero(is_text | (np.isfinite(values) & (values != np.floor(values))))
    codes = texts.codes[rows]
    first = np.sort(np.unique(codes, return_index=True)[1])[:_CELLS_LOOKED_AT]
    return [str(cell) for cell in texts.distinct[codes[first]]]


def _has_points(table: Table, column: str) -> bool:
    values, is_text = table.numbers(column)
    present = values[np.isfinite(values)]
    return not is_text.any() and bool((present != np.floor(present)).any())
