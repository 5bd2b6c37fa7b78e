"""What a peer is given: the columns of a table as numbers, or as numbers and words."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Columns:
    """How the training rows say that each column is read.

    Attributes:
        numbers: Columns of numbers.
        dates: Columns of dates; a peer gets them as days since 1970.
        words: Columns of words, each with its words in the training rows, the most frequent first.
    """

    numbers: tuple[str, ...]
    dates: tuple[str, ...]
    words: dict[str, tuple[str, ...]]


def find_columns(inputs: pd.DataFrame) -> Columns:
    """Tell numbers, dates and words apart; a column without any value is left out."""
    numbers, dates, words = [], [], {}
    for name in inputs.columns:
        present = inputs[name].dropna()
        if present.empty:
            continue
        if pd.api.types.is_numeric_dtype(present):
            numbers.append(name)
        elif _are_dates(present):
            dates.append(name)
        else:
            words[name] = tuple(present.astype(str).value_counts().index)
    return Columns(tuple(numbers), tuple(dates), words)


def as_frame(columns: Columns, inputs: pd.DataFrame) -> pd.DataFrame:
    """Numbers and dates as floats, words as text; gaps are NaN."""
    parts = {name: pd.to_numeric(inputs[name], errors="coerce").astype(float) for name in columns.numbers}
    parts |= {name: _days(inputs[name]) for name in columns.dates}
    parts |= {
        name: inputs[name].astype(object).where(inputs[name].isna(), inputs[name].astype(str)) for name in columns.words
    }
    return pd.DataFrame(parts)


def as_numbers(columns: Columns, inputs: pd.DataFrame, most_words: int | None = None) -> tuple[Floats, list[int]]:
    """All columns as floats, a word as its place among the words of its column.

    Args:
        columns: What find_columns found in the training rows.
        inputs: The rows.
        most_words: How many words of a column are told apart; None: all.

    Returns:
        One column a column; gaps, new words and those beyond most_words are NaN. Then the places of the columns of
        words.
    """
    frame = as_frame(columns, inputs)
    for name, words in columns.words.items():
        frame[name] = frame[name].map({word: float(place) for place, word in enumerate(words[:most_words])})
    return frame.to_numpy(dtype=float), [list(frame.columns).index(name) for name in columns.words]


def _are_dates(cells: pd.Series) -> bool:
    texts = cells.astype(str)
    return bool(texts.str.fullmatch(r"\d{4}-\d{2}-\d{2}([ T].*)?").all())


def _days(cells: pd.Series) -> pd.Series:
    seconds = pd.to_datetime(cells, errors="coerce", utc=True, format="ISO8601") - pd.Timestamp(0, tz="UTC")
    return seconds.dt.total_seconds() / _SECONDS_A_DAY
