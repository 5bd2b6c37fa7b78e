"""Known ground: which cells of rows resemble the training rows. kan-train, kan-serve and kan-client share the rule.

The manifest has the range of each feature in the training rows and a histogram of its values. A value is known if it
lies in the range, ends included, and in a cell of the histogram that holds a training row. For example, with the range
19 to 79 and no training row between 43 and 47, the values 19, 42 and 79 are known, and 18, 45 and 500 are not.

The rule speaks of columns of the table. A column of several features is unknown where one of its features is, with
these additions:

- words with a 0/1 feature each: a row with none of the words is known only if training had such rows too;
- words as target statistics: the numbers of each listed word are known;
- dates: the days decide whether a row is outside the range; month and weekday can only be a gap.

A missing value (NaN) is known: the model has learned what to put in its place. Where it has not, it takes no such row.
Low and high are rounded to float32, because rows are float32: the smallest training value stays inside.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kan_api.filled_intervals import find_boundaries
from kan_api.v1.manifest_pb2 import Column, Feature, ModelManifest
from kan_api.v1.prediction_pb2 import Ground, UnknownCell

# Values of ModelManifest.unknown_ground; empty means the first.
POLICIES = ("answer", "flag", "refuse")
# Most cells in a message, and about the most bytes that the names of their columns take.
MOST_CELLS = 1000
_MOST_NAME_BYTES = 2**18
# A feature with more boundaries than this, of a histogram with more than 31 gaps, is looked at by itself.
_MOST_BOUNDARIES = 64
# Comparisons that are made in one call of numpy: with more, the temporary array costs more than further calls.
_COMPARISONS_AT_ONCE = 2**16

Rows = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class UnknownCells:
    """Unknown cells, row by row.

    Attributes:
        rows: Int [cells], the place of the row.
        columns: Int [cells], the place of the column.
        reasons: Int [cells], an UnknownCell.Reason.
        values: float32 [cells], raw: of a date its days, of a word NaN.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    reasons: NDArray[np.intp]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class KnownGround:
    """Where the training rows of a version lie. Made by `of`, once a version: 10,000 features cost 0.1 to 0.2 s.

    Attributes:
        columns: Names of the columns of the table, in order.
        first_days: [columns], the day 0 of a column of dates; None for others.
        features: Number of features of a row.
        low, high: float32 [columns], the range of each; of dates that of their days, of words without meaning.
    """

    columns: tuple[str, ...]
    first_days: tuple[datetime.date | None, ...]
    features: int
    low: Rows
    high: Rows
    _starts: NDArray[np.intp]  # [columns], the first feature of each
    _holds_words: Flags  # [columns]
    _needs_word: Flags | None  # [columns]: 0/1 features of which one was 1 in each training row; None: no column
    _boundaries: NDArray[np.float32]  # [boundaries, 1, features]
    _long: tuple[tuple[int, NDArray[np.float32]], ...]  # features with too many boundaries for the matrix
    _numbers: tuple[tuple[int, NDArray[np.float32]], ...]  # features of target statistics, and the words' numbers

    @classmethod
    def of(cls, manifest: ModelManifest) -> Self | None:
        """The known ground of a version.

        Returns:
            None if a feature that varies has no histogram: the version was imported without a table, or GetModel has
            left the histograms out.
        """
        features = manifest.features
        if not features or not all(
            feature.HasField("histogram") or feature.low == feature.high for feature in features
        ):
            return None
        columns, groups = _group(manifest)
        with np.errstate(all="ignore"):  # numbers beyond float32
            low = np.array([feature.low for feature in features]).astype(np.float32)
            high = np.array([feature.high for feature in features]).astype(np.float32)
            boundaries, long = find_boundaries(features, low, high, _MOST_BOUNDARIES)
        starts = np.array([group.start for group in groups], np.intp)
        needs_word = [
            bool(column.categories) and _has_always_a_word(features[group.start : group.stop])
            for column, group in zip(columns, groups, strict=True)
        ]
        return cls(
            columns=tuple(column.name for column in columns),
            first_days=tuple(map(_first_day, columns)),
            features=len(features),
            low=low[starts],
            high=high[starts],
            _starts=starts,
            _holds_words=np.array([bool(each.categories) or each.HasField("statistics") for each in columns]),
            _needs_word=np.array(needs_word) if any(needs_word) else None,
            _boundaries=boundaries,
            _long=long,
            _numbers=tuple(
                (group.start + place, np.unique(numbers))
                for column, group in zip(columns, groups, strict=True)
                if column.HasField("statistics") and column.statistics.words
                for place, numbers in enumerate(_numbers_of_words(column, len(group)))
            ),
        )

    def unknown(self, rows: Rows) -> Flags:
        """Which cells are unknown.

        Args:
            rows: float32 [rows, features], raw; NaN where a value is missing.

        Returns:
            bool [rows, columns].
        """
        flags = self._find_unknown_features(rows)
        if self._numbers and flags.any():
            for place, numbers in self._numbers:
                flags[:, place] &= ~np.isin(rows[:, place], numbers)
        if len(self._starts) < self.features:
            flags = np.logical_or.reduceat(flags, self._starts, axis=1)
        if self._needs_word is not None:
            flags |= self._needs_word & ~np.logical_or.reduceat(rows, self._starts, axis=1)
        return flags

    def look(self, rows: Rows) -> Ground:
        """The unknown cells as a message: all are counted, and the first ones are in it.

        Args:
            rows: As in `unknown`.
        """
        flags = self.unknown(rows)
        # For one row ten times as fast as flags.any().
        if b"\1" not in flags.tobytes():
            return Ground(is_known=True)
        ground = Ground(
            is_known=True,
            unknown_rows=int(np.count_nonzero(flags.any(axis=1))),
            unknown_cells=int(np.count_nonzero(flags)),
        )
        found = self.cells(rows, flags, most_cells(self.columns))
        for row, column, reason, value in zip(
            found.rows.tolist(), found.columns.tolist(), found.reasons.tolist(), found.values.tolist(), strict=True
        ):
            ground.cells.add(row=row, column=self.columns[column], reason=reason, value=value)
        return ground

    def cells(self, rows: Rows, flags: Flags, most: int | None = None) -> UnknownCells:
        """The cells that `unknown` flags for these rows; at most so many."""
        row, column = np.unravel_index(np.flatnonzero(flags)[:most], flags.shape)
        values = rows[row, self._starts[column]]
        is_outside = (values < self.low[column]) | (values > self.high[column])
        reasons = np.where(is_outside, UnknownCell.REASON_OUTSIDE_RANGE, UnknownCell.REASON_EMPTY_CELL)
        is_word = self._holds_words[column]
        reasons[is_word] = UnknownCell.REASON_UNSEEN_WORD
        values[is_word] = np.nan
        return UnknownCells(row, column, reasons, values)

    def _find_unknown_features(self, rows: Rows) -> Flags:
        """Bool [rows, features]: True where the number of boundaries at or below the value is odd; NaN has none."""
        if rows.size * len(self._boundaries) <= _COMPARISONS_AT_ONCE:
            flags: Flags = np.logical_xor.reduce(rows >= self._boundaries, axis=0)
        else:
            flags = rows >= self._boundaries[0]
            step = max(1, _COMPARISONS_AT_ONCE // self.features)  # rows that stay in the processor's cache meanwhile
            for start in range(0, len(rows), step):
                block = rows[start : start + step]
                for boundary in self._boundaries[1:]:
                    flags[start : start + step] ^= block >= boundary
        for place, boundaries in self._long:
            counts = np.searchsorted(boundaries, rows[:, place], side="right")
            flags[:, place] = (counts % 2 == 1) & ~np.isnan(rows[:, place])
        return flags


def look(known: KnownGround | None, rows: Rows) -> Ground:
    """The unknown cells as a message; of a version without histograms that nothing is known."""
    return Ground(is_known=False) if known is None else known.look(rows)


def column_names(manifest: ModelManifest) -> tuple[str, ...]:
    """The names that unknown cells of a version have: of the columns of its table, else of its features."""
    return tuple(column.name for column in _group(manifest)[0])


def most_cells(names: Sequence[str]) -> int:
    """Most unknown cells in a message: fewer of columns with long names."""
    return max(1, min(MOST_CELLS, _MOST_NAME_BYTES // max(1, *map(len, names))))


def _group(manifest: ModelManifest) -> tuple[list[Column], list[range]]:
    """The columns and the places of their features; one column a feature where a manifest has no table's columns."""
    places: dict[str, list[int]] = {}
    for place, feature in enumerate(manifest.features):
        places.setdefault(feature.column, []).append(place)
    groups = [range(each[0], each[-1] + 1) for each in places.values()]
    is_table = [column.name for column in manifest.columns] == list(places)
    if is_table and sum(map(len, groups)) == len(manifest.features):
        return list(manifest.columns), groups
    return [Column(name=feature.name) for feature in manifest.features], [
        range(place, place + 1) for place in range(len(manifest.features))
    ]


def _first_day(column: Column) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(column.date.first_day) if column.HasField("date") else None
    except ValueError:
        return None  # training writes no such manifest


def _has_always_a_word(features: Sequence[Feature]) -> bool:
    """Whether each training row with a word of this column had one of the listed words."""
    rows = max(sum(feature.histogram.counts) for feature in features)
    # A constant has no histogram: the word of every row, or of none.
    if rows == 0:
        return any(feature.constant and feature.low == 1 for feature in features)
    return sum(feature.histogram.counts[-1] for feature in features if feature.histogram.counts) == rows


def _numbers_of_words(column: Column, width: int) -> NDArray[Any]:
    """The numbers of the listed words of a column by target statistics, float32 [features, words]."""
    return np.array(column.statistics.values, np.float32).reshape(-1, width).T
