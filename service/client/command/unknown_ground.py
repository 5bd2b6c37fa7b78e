"""Rows of a file on unknown ground: left out if the model refuses them, else told by column after the answers."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from kan_api.cells import quoted
from kan_api.ground import KnownGround, UnknownCells
from kan_api.ground_text import show_cell, show_range, show_value
from kan_api.v1.manifest_pb2 import ModelManifest
from kan_api.v1.prediction_pb2 import UnknownCell
from service.client.answers import Ground
from service.client.encoding.rows import Matrix
from service.client.encoding.table_rows import TableRows

_MOST_COLUMNS: Final = 5
_MOST_WORDS: Final = 3
_LINES: Final[Mapping[int, str]] = {
    UnknownCell.REASON_OUTSIDE_RANGE: "outside the training range",
    UnknownCell.REASON_EMPTY_CELL: "in a gap of the training data",
    UnknownCell.REASON_UNSEEN_WORD: "with a word that training never had",
}


@dataclass
class _Found:
    """The unknown cells of one column for one reason: their number, their values, and some of their words."""

    cells: int = 0
    low: float = np.inf
    high: float = -np.inf
    words: set[str] = field(default_factory=set)


class UnknownGround:
    """Looks at the rows of one file, for one version.

    Args:
        manifest: of the version. GetModel leaves out histograms that are too large; then the server is asked.

    Attributes:
        asks_server: whether the answers have to tell the unknown cells.
    """

    def __init__(self, manifest: ModelManifest) -> None:
        self._known = KnownGround.of(manifest)
        self._refuses = manifest.unknown_ground == "refuse"
        self._shown = self._known or KnownGround.of(_with_ranges(manifest))
        self._rows = 0
        self._is_partial = False
        self._unknown_rows: Counter[int] = Counter()
        self._found: dict[tuple[int, int], _Found] = {}
        self.asks_server = self._known is None

    def refused(self, rows: TableRows, good: Sequence[int], matrix: Matrix) -> dict[int, str]:
        """The rows that the model refuses, as far as the manifest tells, each with the reason.

        Args:
            rows: the rows of a block.
            good: the numbers of those that are in the matrix.
            matrix: their features.

        Returns:
            By the number of the row in the block; empty unless the policy is "refuse".
        """
        known = self._known
        if not self._refuses or known is None:
            return {}
        cells = known.cells(matrix, known.unknown(matrix))
        faults: dict[int, str] = {}
        for at in np.unique(cells.rows, return_index=True)[1].tolist():  # the first cell of each row
            row, column, reason = good[cells.rows[at]], int(cells.columns[at]), int(cells.reasons[at])
            word = _word(rows, row, known.columns[column]) if reason == UnknownCell.REASON_UNSEEN_WORD else ""
            text = show_cell(known, column, reason, float(cells.values[at]), word)
            faults[row] = f"{rows.place(row)}: {text}; the model refuses such rows"
        return faults

    def add(self, rows: TableRows, good: Sequence[int], matrix: Matrix, told: Ground | None) -> None:
        """Count the unknown cells of answered rows.

        Args:
            rows: the rows of a block.
            good: the numbers of those that were answered.
            matrix: their features.
            told: what the server says, if it was asked.
        """
        self._rows += len(good)
        if self._known is not None:
            self._count(rows, good, self._known.cells(matrix, self._known.unknown(matrix)))
        elif self._shown is not None and told is not None and told.unknown_cells:
            self._is_partial |= told.unknown_cells > len(told.cells)
            self._count(rows, good, _as_arrays(told, self._shown))

    def lines(self) -> list[str]:
        """What people are told after the answers: a line a reason, with the columns that have the most such cells."""
        least = "at least " if self._is_partial else ""
        return [
            f"warning: {least}{self._unknown_rows[reason]} of {self._rows} rows {what}: {self._columns(reason)}"
            for reason, what in _LINES.items()
            if self._unknown_rows[reason]
        ]

    def _count(self, rows: TableRows, good: Sequence[int], cells: UnknownCells) -> None:
        known = self._shown
        assert known is not None
        for reason in np.unique(cells.reasons).tolist():
            of_reason = cells.reasons == reason
            self._unknown_rows[reason] += len(np.unique(cells.rows[of_reason]))
            for column in np.unique(cells.columns[of_reason]).tolist():
                chosen = of_reason & (cells.columns == column)
                found = self._found.setdefault((reason, column), _Found())
                found.cells += int(np.count_nonzero(chosen))
                if reason != UnknownCell.REASON_UNSEEN_WORD:
                    values = cells.values[chosen]
                    found.low, found.high = min(found.low, float(values.min())), max(found.high, float(values.max()))
                elif len(found.words) <= _MOST_WORDS:
                    places = cells.rows[chosen].tolist()
                    found.words |= {_word(rows, good[place], known.columns[column]) for place in places}

    def _columns(self, reason: int) -> str:
        found = [(column, one) for (which, column), one in self._found.items() if which == reason]
        found.sort(key=lambda pair: (-pair[1].cells, pair[0]))
        texts = [self._text(column, reason, one) for column, one in found[:_MOST_COLUMNS]]
        more = len(found) - len(texts)
        return ", ".join(texts) + (f" and {more} more {'column' if more == 1 else 'columns'}" if more else "")

    def _text(self, column: int, reason: int, found: _Found) -> str:
        """A column with its values: ``age 500 (19 to 79)``."""
        known = self._shown
        assert known is not None
        name = known.columns[column]
        name = name if re.fullmatch(r"[\w.-]{1,60}", name) else quoted(name)
        if reason == UnknownCell.REASON_UNSEEN_WORD:
            words = [quoted(word) for word in sorted(found.words)]
            return f"{name} {', '.join(words[:_MOST_WORDS])}{' and others' if len(words) > _MOST_WORDS else ''}"
        low, high = show_value(known, column, found.low), show_value(known, column, found.high)
        text = f"{name} {low}" if low == high else f"{name} {low} to {high}"
        # A gap is inside the range.
        return f"{text} ({show_range(known, column)})" if reason == UnknownCell.REASON_OUTSIDE_RANGE else text


def _word(rows: TableRows, row: int, column: str) -> str:
    """The cell of a column of words."""
    cell = rows.columns[column][row]
    return "" if cell is None else str(cell)


def _as_arrays(told: Ground, known: KnownGround) -> UnknownCells:
    """What a server tells, as the local rule tells it; without columns and reasons that this client does not know."""
    columns = {name: place for place, name in enumerate(known.columns)}
    reasons = {name.removeprefix("REASON_").lower(): number for name, number in UnknownCell.Reason.items()}
    cells = [cell for cell in told.cells if cell.column in columns and cell.reason in reasons]
    return UnknownCells(
        rows=np.array([cell.row for cell in cells], np.intp),
        columns=np.array([columns[cell.column] for cell in cells], np.intp),
        reasons=np.array([reasons[cell.reason] for cell in cells], np.intp),
        values=np.array([cell.value for cell in cells], np.float32),
    )


def _with_ranges(manifest: ModelManifest) -> ModelManifest:
    """The manifest with one cell in each histogram: names and ranges, to show what the server tells."""
    ranges = ModelManifest(features=manifest.features, columns=manifest.columns)
    for feature in ranges.features:
        if feature.low < feature.high and not feature.HasField("histogram"):
            feature.histogram.edges.extend((feature.low, feature.high))
            feature.histogram.counts.append(1)
    return ranges
