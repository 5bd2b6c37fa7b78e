"""One column of a table as numbers, as words or as points in time."""

import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kan_api.cells import MISSING_WORDS, THOUSANDS_REMEDY, has_thousands
from training.data.table import Cells, Table, Texts, texts_of
from training.data.table import parse_numbers as parse_numbers
from training.errors import quoted

_LARGEST = float(np.finfo(np.float32).max)
_OTHER_DECIMAL = {
    decimal: re.compile(rf"\s*[-+]?\d+{other}\d+([eE][-+]?\d+)?\s*") for decimal, other in ((".", ","), (",", r"\."))
}
_REMEDY = {
    ".": 'decimals are written with a point, unless [data] has decimal = ","',
    ",": 'decimals are written with a comma, because [data] has decimal = ","',
}
_REMEDY_IN_MEMORY = 'decimals are written with a point; pandas reads commas with decimal=","'
_DATE_LIKE = re.compile(r"\s*(\d{1,4}[-/.]\d{1,2}[-/.]\d|\d{4}-\d{2}\s*$|\d{1,2}[ -][A-Za-z]{3})")
# Dates before 1678 and after 2261 are no dates for it.
_HAS_NANOSECONDS = int(pd.__version__.split(".")[0]) < 3
_DATE_FORMATS = ("ISO8601", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d %b %Y", "%d-%b-%Y")
_SLASHED = tuple(f"{day}{clock}" for clock in ("", " %H:%M", " %H:%M:%S") for day in ("%m/%d/%Y", "%d/%m/%Y"))


def numbers(
    table: Table, column: str, suggest: Callable[[Sequence[str]], str] | None = None, *, other_decimal: str = ""
) -> NDArray[np.float64]:
    """The column as numbers.

    Args:
        table: The table.
        column: Name of the column.
        suggest: From the column's different cells to a remedy, if they are no numbers; None: there is none to name.
        other_decimal: What to say of a cell with the other decimal mark; "": the key of the recipe, or pandas.

    Returns:
        float64 [rows], NaN where the cell is missing.

    Raises:
        DataError: a cell is neither a number nor missing, or is infinite or too large for float32. The message names
            the first such cell.
    """
    values, is_text = table.numbers(column)
    if is_text.any():
        row = int(np.argmax(is_text))
        texts = table.texts(column)
        cell = str(texts.distinct[texts.codes[row]])
        hint = "is it a word?" if suggest is None else suggest(texts.distinct.tolist())
        if looks_like_other_decimal(table, cell):
            hint = other_decimal or (_REMEDY_IN_MEMORY if table.is_in_memory else _REMEDY[table.decimal])
        hint = THOUSANDS_REMEDY if has_thousands(cell) else hint
        raise table.problem(column, f"{table.place(row)} holds {quoted(cell)}, wanted a number ({hint})")
    if flaw := too_large(table, values):
        raise table.problem(column, flaw)
    return values


def too_large(table: Table, values: NDArray[np.float64]) -> str:
    """Which of a column's numbers is the first that float32 cannot hold; "" if it can hold all."""
    beyond = np.abs(values) > _LARGEST
    if not beyond.any():
        return ""
    row = int(np.argmax(beyond))
    return f"{table.place(row)} holds {values[row]:g}, wanted a finite number of float32 (below {_LARGEST:.1e})"


def words(table: Table, column: str, known: Collection[str] = ()) -> Cells:
    """The column as words, spelled as in the file; whole numbers of a Parquet file have no ".0".

    Args:
        table: The table.
        column: Name of the column.
        known: Words that are not missing cells even if they look so, such as "NA" for Namibia.

    Returns:
        str [rows] (dtype object), "" where the cell is missing.
    """
    return distinct_words(table, column, known).cells()


def distinct_words(table: Table, column: str, known: Collection[str] = ()) -> Texts:
    """As :func:`words`, as different words and their codes; a word may be there twice: of "NA" and "" both are ""."""
    texts = table.texts(column)
    spelled = [
        cell if cell in known or cell.strip().lower() not in MISSING_WORDS else "" for cell in texts.distinct.tolist()
    ]
    return Texts(np.array(spelled, dtype=object), texts.codes)


def class_words(table: Table, column: str) -> Cells:
    """The column as class labels. Numbers have one spelling (1 and 1.0 are one class); words are stripped.

    Returns:
        str [rows] (dtype object), "" where the cell is missing.
    """
    values, is_text = table.numbers(column)
    if not is_text.any() and not np.isnan(values).all():
        return texts_of(values).cells()
    texts = distinct_words(table, column)
    return Texts(np.array([cell.strip() for cell in texts.distinct], dtype=object), texts.codes).cells()


def looks_like_other_decimal(table: Table, cell: str) -> bool:
    """Whether a cell is a number with a decimal comma where the table has points, or the reverse."""
    return bool(_OTHER_DECIMAL[table.decimal].fullmatch(cell))


def times(table: Table, column: str) -> NDArray[np.float64]:
    """The column as points in time that can be sorted.

    Returns:
        float64 [rows]: the numbers themselves, or seconds since 1970 for dates; NaN where the cell is missing.

    Raises:
        DataError: the cells are neither numbers nor dates of one format; or it is unclear which number of a date is
            the day and which the month.
    """
    values, is_text = table.numbers(column)
    if not is_text.any():
        return values
    cells = words(table, column)
    cells = np.where(cells == "NaT", "", cells)  # pandas writes NaT for a missing date.
    present = cells != ""
    strays = []
    for candidate in _DATE_FORMATS:
        seconds = _seconds(cells, candidate)
        strays.append(np.isnan(seconds) & present)
        if not strays[-1].any():
            return seconds
    readings = [seconds for form in _SLASHED if not np.isnan((seconds := _seconds(cells, form))[present]).any()]
    if len(readings) == 1 or (readings and np.array_equal(readings[0], readings[1], equal_nan=True)):
        return readings[0]
    if readings:
        example = quoted(str(cells[int(np.argmax(present))]))
        raise table.problem(column, f"dates like {example} may be day or month first; write them as 2020-12-31")
    row = int(np.argmax(min(strays, key=np.count_nonzero)))
    raise table.problem(
        column,
        f"{table.place(row)} holds {quoted(str(cells[row]))}; wanted numbers, or dates of one format like 2020-12-31",
    )


def looks_like_dates(cells: Cells) -> bool:
    """Whether the first 20 cells look like dates: a cheap check before `times`."""
    present = [cell for cell in cells[:1000].tolist() if isinstance(cell, str) and cell][:20]
    return bool(present) and all(_DATE_LIKE.match(cell) for cell in present)


def _seconds(cells: Cells, form: str) -> NDArray[np.float64]:
    """Seconds since 1970, NaN where a cell is not of this format."""
    texts = texts_of(cells)
    stamps: Any = pd.to_datetime(pd.Series(texts.distinct, dtype=object), format=form, errors="coerce", utc=True)
    # Microseconds, because pandas' nanoseconds end in the year 2262.
    micros = stamps.astype("datetime64[us, UTC]").astype(np.int64).to_numpy()
    seconds: NDArray[np.float64] = np.where(stamps.isna(), np.nan, micros / 1e6)
    if _HAS_NANOSECONDS:
        for place in np.flatnonzero(np.isnan(seconds)):
            seconds[place] = _seconds_of(texts.distinct[place], form)
    of_cells: NDArray[np.float64] = seconds[texts.codes]
    return of_cells


def _seconds_of(text: str, form: str) -> float:
    """A date that nanoseconds cannot hold, as pandas 3 reads it; NaN if the text is none."""
    try:
        moment = datetime.fromisoformat(text) if form == "ISO8601" else datetime.strptime(text, form)
    except ValueError:
        return np.nan
    if 1678 <= moment.year <= 2261:
        return np.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
