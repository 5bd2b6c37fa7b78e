"""The cells of one column of numbers or words: their labels, the shares that training expects, and where a row lies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Counts = NDArray[np.int64]
Shares = NDArray[np.float64]

# A smaller share counts as this one, expected or served: one row of the thousand that an index takes at least.
LEAST_SHARE = 1e-3
_CELLS = 10
# A cell of fewer training rows would drift by chance: with 30 a cell, the training rows' noise adds 0.03 to the index.
_LEAST_ROWS = 30
_MOST_WORDS = 15
# Of a word in a label.
_MOST_CHARACTERS = 100

BELOW, ABOVE, EMPTY, MISSING, OTHER = "below", "above", "empty", "missing", "other"


@dataclass(frozen=True)
class Counted:
    """Something whose rows are counted by cell.

    Attributes:
        name: Of the column or the output.
        labels: Of the cells, all different.
        expected: ``[cells]``, the shares of the training rows, each at least `LEAST_SHARE`; None: no index is computed.
        count: Takes rows ``[rows, features]`` and gives ``[cells]``, how many lie in each.
    """

    name: str
    labels: tuple[str, ...]
    expected: Shares | None
    count: Callable[[Rows], Counts]


@dataclass(frozen=True)
class Numbers:
    """The training rows of a column of numbers.

    Attributes:
        place: The column of the matrix.
        edges: Of the bins, ascending; two equal ones for a column of one value.
        counts: Training rows in each bin.
        rows: Number of all training rows, those with a gap too.
        has_gaps: Whether NaN is allowed.
    """

    place: int
    edges: Sequence[float]
    counts: Sequence[int]
    rows: int
    has_gaps: bool


def number_cells(name: str, numbers: Numbers, *, is_expected: bool = True) -> Counted:
    """The cells of a column of numbers.

    A new row lies below the smallest of n training rows with the probability 1 / (n + 1). It lies in an empty bin about
    as often as a training row is alone in its bin (Good 1953).

    Args:
        name: Of the column.
        numbers: Its training rows.
        is_expected: False: no index is computed.
    """
    # Plain numbers: NumPy takes twice as long for so few, and with workers a call may wait for this.
    counts = list(numbers.counts)
    known = sum(counts)
    groups = _merge(counts, max(known / _CELLS, _LEAST_ROWS))
    labels = [f"{numbers.edges[group[0]]:.4g} to {numbers.edges[group[-1] + 1]:.4g}" for group in groups]
    shares = [sum(counts[place] for place in group) / numbers.rows for group in groups]
    below, above = len(labels), len(labels) + 1
    labels += [BELOW, ABOVE]
    shares += [1 / (known + 1)] * 2
    empty = above
    if not all(counts):
        empty = len(labels)
        labels.append(EMPTY)
        shares.append(counts.count(1) / numbers.rows)
    missing = above
    if numbers.has_gaps:
        missing = len(labels)
        labels.append(MISSING)
        shares.append(1 - known / numbers.rows)
    # The cells of what lies below the first edge, in each bin, above the last edge, and of NaN, which is sorted last.
    cell_of = [below, *([empty] * len(counts)), above, missing]
    for cell, group in enumerate(groups):
        for place in group:
            cell_of[place + 1] = cell
    # As clients send numbers: a training row at an edge stays inside. The last bin holds its upper edge.
    with np.errstate(over="ignore"):
        ends = np.array([-np.inf, *numbers.edges, np.nan], np.float64).astype(np.float32)
        ends[-2] = np.nextafter(ends[-2], np.float32(np.inf))
    cells_of_parts = np.zeros((len(labels), len(cell_of)), np.int64)
    cells_of_parts[cell_of, range(len(cell_of))] = 1

    def count(rows: Rows) -> Counts:
        # To sort the values and look up the edges takes a third of the time of looking up the values.
        places = np.sort(rows[:, numbers.place]).searchsorted(ends)
        parts = np.empty(len(ends), np.int64)
        np.subtract(places[1:], places[:-1], out=parts[:-1])
        parts[-1] = len(rows) - places[-1]
        counted: Counts = cells_of_parts @ parts
        return counted

    return Counted(name, distinct(labels), _floored(shares) if is_expected else None, count)


def word_cells(name: str, first: int, words: Sequence[str], counts: Sequence[int], rows: int) -> Counted:
    """The cells of a column of words: a cell for each of the 15 most frequent words of 30 rows or more, and `other`.

    Args:
        name: Of the column.
        first: The feature of the first word; those of the others follow.
        words: The empty word means a missing cell.
        counts: Training rows with each word.
        rows: Number of all training rows.
    """
    by_count = sorted(range(len(words)), key=lambda place: -counts[place])
    shown = [place for place in by_count[:_MOST_WORDS] if counts[place] >= _LEAST_ROWS]
    other = len(shown)
    special = {BELOW, ABOVE, EMPTY, MISSING, OTHER}
    names = [words[place][:_MOST_CHARACTERS] for place in shown]
    labels = [f"word {name}" if name in special else name or MISSING for name in names]
    shares = [counts[place] / rows for place in shown]
    cell_of = np.full(len(words), other, np.intp)
    cell_of[shown] = range(len(shown))

    def count(rows: Rows) -> Counts:
        marks = rows[:, first : first + len(words)]
        largest = marks.argmax(axis=1)
        is_word = marks[np.arange(len(marks)), largest] > 0.5
        return np.bincount(np.where(is_word, cell_of[largest], other), minlength=other + 1)

    return Counted(name, distinct([*labels, OTHER]), _floored([*shares, 1 - sum(shares)]), count)


def pooled_cells(name: str, low: Rows, high: Rows) -> Counted:
    """The cells of many columns together: each number of a row is counted, against the range of its own column.

    Args:
        name: Of all of them.
        low: ``[features]``, the smallest number of each in training; NaN for features of other columns.
        high: ``[features]``, the largest.
    """
    is_pooled = ~np.isnan(low)
    pooled = int(is_pooled.sum())

    def count(rows: Rows) -> Counts:
        # Comparisons with NaN are false.
        below, above = np.count_nonzero(rows < low), np.count_nonzero(rows > high)
        gaps = np.isnan(rows)
        missing = int(gaps.sum(axis=0)[is_pooled].sum()) if gaps.any() else 0
        return np.array([pooled * len(rows) - below - above - missing, below, above, missing])

    return Counted(name, ("inside", BELOW, ABOVE, MISSING), None, count)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The same names; one that is there already gets a number, because Prometheus refuses a series that comes twice."""
    found: dict[str, None] = {}
    for number, name in enumerate(names, start=1):
        while name in found:
            name += f" (number {number})"
        found[name] = None
    return tuple(found)


def _merge(counts: Sequence[int], least: float) -> list[list[int]]:
    """Neighbouring bins with rows, in groups of at least so many rows where there are as many."""
    groups: list[list[int]] = []
    held = 0
    for place, count in enumerate(counts):
        if not count:
            continue
        if not groups or held >= least:
            groups.append([])
            held = 0
        groups[-1].append(place)
        held += count
    if len(groups) > 1 and held < least / 2:
        last = groups.pop()
        groups[-1] += last
    return groups


def _floored(shares: Sequence[float]) -> Shares:
    return np.maximum(np.array(shares, np.float64), LEAST_SHARE)
