"""Where a regression errs: its errors by the cells of one column."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.encoding import Numbers
from training.report.effects.shown_columns import ShownColumn
from training.report.judged import Judged

# Segments of a column of numbers, and words of a column of words; fewer rows than this say little of a segment.
_SEGMENTS, _MOST_WORDS, _LEAST_ROWS = 5, 6, 5


@dataclass(frozen=True)
class Segment:
    """The rows with some cells of a column, and the errors of the answers to them, in raw units.

    Attributes:
        name: The cells, such as "0.2 to 0.4".
        rows: Number of rows.
        error: Mean |answer − truth|.
        bias: Mean answer − truth.
        trivial: Mean |answer − truth| of the trivial baseline; None: not known.
    """

    name: str
    rows: int
    error: float
    bias: float
    trivial: float | None


def segment(judged: Judged, column: ShownColumn, target: int = 0, *, is_log: bool = False) -> list[Segment]:
    """The errors of a regression by the cells of a column: about equally many rows each, or a word each.

    Args:
        judged: With rows.
        column: Splits the rows.
        target: The place of the target.
        is_log: The errors are shares of the truth: |answer / truth − 1|, and so on.
    """
    assert judged.rows is not None
    parts = _by_word(judged.rows, column) if column.words else _by_number(judged.rows[:, column.places[0]])
    return [_score(judged, target, name, chosen, is_log) for name, chosen in parts if chosen.any()]


def _by_word(rows: Numbers, column: ShownColumn) -> Sequence[tuple[str, NDArray[np.bool_]]]:
    own = column.find_words(rows)
    counts = np.bincount(own[own >= 0], minlength=len(column.words))
    most = [place for place in np.argsort(-counts, kind="stable")[:_MOST_WORDS] if counts[place]]
    parts = [(column.words[place] or "empty", own == place) for place in most]
    return [*parts, ("other words", ~np.isin(own, most))]


def _by_number(values: Numbers) -> Sequence[tuple[str, NDArray[np.bool_]]]:
    known = values[np.isfinite(values)]
    missing = ("missing", ~np.isfinite(values))
    if not len(known):
        return [missing]
    segments = max(1, min(_SEGMENTS, len(known) // _LEAST_ROWS))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, segments + 1), method="inverted_cdf"))
    place = np.searchsorted(edges[1:-1], values, side="right") if len(edges) > 2 else np.zeros(len(values), int)
    parts = []
    for number in range(max(1, len(edges) - 1)):
        chosen = (place == number) & np.isfinite(values)
        if chosen.any():
            low, high = values[chosen].min(), values[chosen].max()
            parts.append((f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}", chosen))
    return [*parts, missing]


def _score(judged: Judged, target: int, name: str, chosen: NDArray[np.bool_], is_log: bool) -> Segment:
    weights = None if judged.weights is None else judged.weights[chosen]
    if weights is not None and not weights.any():
        weights = None
    truth = judged.truth[chosen, target]
    unit = np.abs(truth) if is_log else 1.0
    off = (judged.answers[chosen, target] - truth) / unit
    trivial = None
    if judged.trivial is not None:
        away = np.abs(judged.trivial[chosen, target] - truth) / unit
        trivial = float(np.average(away, weights=weights))
    error, bias = np.average(np.abs(off), weights=weights), np.average(off, weights=weights)
    return Segment(name, int(chosen.sum()), float(error), float(bias), trivial)
