"""Cells with dates as numbers: text, as in a file, Python's dates, which pandas' are too, or whole numbers."""

import datetime
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kan_api.dates import ISO, PARTS, date_numbers, is_missing_date, read_date
from kan_api.v1.manifest_pb2 import DateEncoding


def encode_dates(encoding: DateEncoding, cells: Sequence[object]) -> tuple[NDArray[np.float64], int | None]:
    """The numbers of a column of dates.

    Args:
        encoding: format and first day, from the manifest.
        cells: the cells of the column.

    Returns:
        float64 [rows, 3], NaN where a cell is missing; and the first row whose cell is no date, or None.
    """
    first_day = datetime.date.fromisoformat(encoding.first_day)
    block = np.full((len(cells), len(PARTS)), np.nan)
    known: dict[object, tuple[float, float, float]] = {}
    for row, cell in enumerate(cells):
        text, form = _text(cell, encoding.format)
        if text is None:
            return block, row
        if is_missing_date(text):
            continue
        if (found := known.get((text, form))) is None:
            moment = read_date(text, form)
            if moment is None:
                return block, row
            found = known[text, form] = date_numbers(moment, first_day)
        block[row] = found
    return block, None


def _text(cell: object, form: str) -> tuple[str | None, str]:
    """The cell as text, with its format; None for what is neither text nor a date nor missing."""
    if cell is None:
        return "", form
    if isinstance(cell, datetime.date):
        return str(cell), ISO  # "NaT" of pandas' missing date
    if isinstance(cell, float) and np.isnan(cell):
        return "", form
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell)), form  # pandas reads whole numbers with a gap as floats
    if isinstance(cell, int | np.integer) and not isinstance(cell, bool):
        return str(cell), form  # such as 20240131, of JSON lines or an array
    return (cell if isinstance(cell, str) else None), form
