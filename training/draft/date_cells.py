"""Columns of dates, and columns that are nearly dates because of a few cells."""

import numpy as np
from numpy.typing import NDArray

from kan_api.dates import FORMATS, is_missing_date, read_date
from training.data.table import Cells, Table
from training.errors import quoted

# So many different cells are not dates by chance.
FEWEST_DATES = 10
# Numbers of ISO 8601's short form, from 1900 to 2100.
_AS_NUMBERS = (19000101, 21001231)
# A column is nearly dates if this share of its different cells are dates, each of any format.
_NEARLY = 0.9
# About so many different cells are read first, because reading all is slow and in most columns none is a date.
_SAMPLE = 100


def may_be_dates(numbers: NDArray[np.float64]) -> bool:
    """Whether most different numbers are written as dates are, such as 20240131.

    By chance one of 27 numbers in this range is a date.
    """
    low, high = _AS_NUMBERS
    inside = np.unique(numbers[(numbers >= low) & (numbers <= high)])
    if len(inside) < FEWEST_DATES:
        return False
    months, days = inside // 100 % 100, inside % 100
    dates = np.count_nonzero((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31) & (inside % 1 == 0))
    return bool(dates >= max(FEWEST_DATES, _NEARLY * len(np.unique(numbers))))


def date_form(dates: list[str]) -> str:
    """The first format of [data.dates] that reads all these texts, or ""."""
    return next((form for form in FORMATS if all(read_date(date, form) is not None for date in dates)), "")


def describe_stray(table: Table, cells: Cells) -> str:
    """Which cell keeps a column from being dates: the first one that is not of the format that most cells have.

    The text is "" if one format reads all cells, if there are fewer than 10 different ones, or if fewer than 90 % of
    them are dates.

    Args:
        table: Gives rows their names.
        cells: The column as words, "" where a cell is missing.
    """
    distinct = sorted({cell for cell in cells.tolist() if not is_missing_date(cell)})
    if len(distinct) < FEWEST_DATES or not _are_nearly_dates(distinct[:: -(-len(distinct) // _SAMPLE)]):
        return ""
    if not _are_nearly_dates(distinct):
        return ""
    read = {form: {text for text in distinct if read_date(text, form) is not None} for form in FORMATS}
    dates = read[max(FORMATS, key=lambda form: len(read[form]))]
    present = np.array([not is_missing_date(cell) for cell in cells.tolist()])
    strays = present & np.array([cell not in dates for cell in cells.tolist()])
    if not strays.any():
        return ""
    like, row = str(cells[int(np.argmax(present & ~strays))]), int(np.argmax(strays))
    return (
        f"nearly dates: {np.count_nonzero(present & ~strays):,} of {np.count_nonzero(present):,} cells are like "
        f"{quoted(like)}, but {table.place(row)} holds {quoted(str(cells[row]))}; to use them as dates, empty or "
        "correct such cells and draft again with --force"
    )


def _are_nearly_dates(texts: list[str]) -> bool:
    dates = sum(any(read_date(text, form) is not None for form in FORMATS) for text in texts)
    return dates >= _NEARLY * len(texts)
