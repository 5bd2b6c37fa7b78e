"""The word in a cell, whichever type JSON or Python gave it, and the numbers of words."""

import numbers
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from kan_api.cells import MISSING_WORDS
from kan_api.v1.manifest_pb2 import TargetStatistics


def word_of(cell: object, known: Collection[str]) -> str | None:
    """The word in a cell; "" if the cell is missing, None if it is of another type, for example a list.

    A known category is never read as a missing cell, for example "NA" for Namibia.
    """
    spellings = _spellings(cell)
    for spelling in spellings:
        if spelling in known:
            return spelling
    if not spellings:
        return None
    return "" if spellings[0].strip().lower() in MISSING_WORDS else spellings[0]


def numbers_of_words(statistics: TargetStatistics) -> NDArray[np.float32]:
    """The numbers [words + 1, numbers of a word] of a column by target statistics; the last row is for other words."""
    return np.array([*statistics.values, *statistics.prior], dtype=np.float32).reshape(-1, len(statistics.prior))


def _spellings(cell: object) -> tuple[str, ...]:
    """The ways to write a cell as a word. Text has one; the number 3 of JSON has two, "3" and "3.0"."""
    if isinstance(cell, str):
        return (cell,)
    if cell is None:
        return ("",)
    if isinstance(cell, bool):
        return (str(cell), str(cell).lower())
    if isinstance(cell, numbers.Integral):
        return (str(int(cell)), f"{int(cell)}.0")
    if isinstance(cell, numbers.Real):
        value = float(cell)
        return (str(int(value)), repr(value)) if value.is_integer() else (repr(value),)
    return ()
