"""Unknown cells in words: values and ranges as people read them. kan-serve and kan-client say the same."""

import datetime

from kan_api.cells import quoted
from kan_api.ground import KnownGround
from kan_api.v1.prediction_pb2 import UnknownCell


def show_value(known: KnownGround, column: int, value: float) -> str:
    """A value of a column: a number with seven digits, which float32 has, or the date.

    Args:
        known: The known ground.
        column: The place of the column.
        value: Raw; of dates the days since the first day.
    """
    first_day = known.first_days[column]
    if first_day is not None:
        try:
            return str(first_day + datetime.timedelta(days=value // 1))
        except (ValueError, OverflowError):  # beyond the calendar
            return f"day {value:.7g}"
    return f"{value:.7g}"


def show_range(known: KnownGround, column: int) -> str:
    """The range of a column: ``19 to 79``; of a constant ``only 7``."""
    low, high = (show_value(known, column, float(ends[column])) for ends in (known.low, known.high))
    return f"only {low}" if low == high else f"{low} to {high}"


def show_cell(known: KnownGround, column: int, reason: int, value: float, word: str = "") -> str:
    """What is unknown of a cell, as the end of a sentence about its row.

    Args:
        known: The known ground.
        column: The place of the column.
        reason: An UnknownCell.Reason.
        value: As in show_value.
        word: The word of a column of words, if the caller knows it.
    """
    name = f"column {quoted(known.columns[column])}"
    if reason == UnknownCell.REASON_UNSEEN_WORD:
        return f"{name} holds {f'{quoted(word)}, ' if word else ''}a word that training never had"
    shown = show_value(known, column, value)
    if reason == UnknownCell.REASON_OUTSIDE_RANGE:
        return f"{name} is {shown}, training had {show_range(known, column)}"
    return f"{name} is {shown}, in a gap of the training rows ({show_range(known, column)})"
