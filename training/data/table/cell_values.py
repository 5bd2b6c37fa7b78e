"""What a cell means: a number, a missing cell or text; and columns of text as their different texts."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kan_api.cells import MISSING_NUMBERS

Cells = NDArray[Any]
Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
# The mark between whole part and decimals, as pandas calls it.
Decimal = Literal[".", ","]
# A point becomes a comma, which float() refuses.
_COMMA_FOR_POINT = str.maketrans(",.", ".,")


@dataclass(frozen=True)
class Texts:
    """A column of text: ``distinct[codes]`` are its cells.

    Attributes:
        distinct: str (dtype object), each text once, in the order of its first row.
        codes: int ``[rows]``.
    """

    distinct: Cells
    codes: NDArray[np.integer[Any]]

    def cells(self) -> Cells:
        """The cells, str ``[rows]`` (dtype object); equal cells are one object."""
        found: Cells = self.distinct[self.codes]
        return found


def parse_number(cell: str, decimal: Decimal = ".") -> float | None:
    """NaN for a missing cell, None for text. With decimal commas a point makes text: 1.234 may mean a thousand."""
    try:
        value = float(cell if decimal == "." else cell.translate(_COMMA_FOR_POINT))
    except ValueError:
        return np.nan if cell.strip().lower() in MISSING_NUMBERS else None
    # float() reads 1_000 as a thousand; in a table it is text.
    return None if "_" in cell else value


def parse_numbers(cells: Cells, decimal: Decimal = ".") -> tuple[Values, Flags]:
    """The cells as float64 [rows], NaN where missing or text; and bool [rows], True where the cell is text."""
    if cells.dtype != object:
        return cells, np.zeros(len(cells), dtype=bool)
    found = [parse_number(cell, decimal) for cell in cells.tolist()]
    return np.array(found, dtype=np.float64), np.array([value is None for value in found], dtype=bool)


def parse_texts(texts: Texts, decimal: Decimal = ".") -> tuple[Values, Flags]:
    """As :func:`parse_numbers` of the cells; each different text is parsed once."""
    values, is_text = parse_numbers(texts.distinct, decimal)
    return values[texts.codes], is_text[texts.codes]


def texts_of(cells: Cells) -> Texts:
    """Cells as their different texts; numbers are spelled as by :func:`spell_number`."""
    if cells.dtype == object:
        codes, distinct = pd.factorize(cells)
        return Texts(distinct, codes)
    numbers, codes = np.unique(cells, return_inverse=True)
    return Texts(np.array([spell_number(value) for value in numbers.tolist()], dtype=object), codes)


def spell_number(value: float) -> str:
    """As a person would write it: whole numbers without a point, "" for NaN."""
    if np.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() else repr(float(value))
