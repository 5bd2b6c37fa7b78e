"""Counts of the rows that a version answered, and of its answers, by cell.

A run only keeps references to its rows and answers. They are counted when 1,024 rows are kept, or at a scrape.

A load builds no cells, because a call may wait for it. They are built when rows are counted for the first time: by a
scrape in its own thread, else in a daemon thread, because the caller that keeps the 1,024th row may be the event loop.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from service.metrics.drift.cells import LEAST_SHARE, Counted, Counts, Rows, Shares
from service.metrics.drift.columns import counted_answers, counted_columns, may_be_counted
from service.time_slice import brief_turns, take_brief_slices

_log = logging.getLogger(__name__)

# Counting this many at once costs less than 1 µs a row with 16 columns. More would use memory and not be faster.
_MOST_KEPT_ROWS = 1024
_MOST_KEPT_NUMBERS = 2**18
# While the cells are built, up to 16 times as many are kept: 2 ms with 16 columns, 0.1 s with 5,000. A run that exceeds
# this waits for the cells, so that no row is lost and the memory is bounded.
_MOST_KEPT_TIMES = 16
# An index of fewer rows is noise.
LEAST_ROWS = 1000
# The index of a replica is about so many of its last rows, and a few more: they are forgotten in parts of LEAST_ROWS.
_LATEST_ROWS = 10_000


@dataclass(frozen=True)
class CountedRows:
    """The counts of one column or output at one time.

    Attributes:
        counted: Which one.
        rows: ``[cells]``, rows since the version was loaded.
        latest: ``[cells]``, the last rows; None before 1,000 rows.
        index: The population stability index of the last rows; None without expected shares, or before 1,000 rows.
    """

    counted: Counted
    rows: Counts
    latest: Counts | None
    index: float | None

    @classmethod
    def of(cls, counted: Counted, rows: Counts, latest: Counts | None) -> Self:
        """The counts with the index of the last rows."""
        index = None
        if latest is not None and counted.expected is not None:
            index = stability_index(latest, counted.expected)
        return cls(counted, rows, latest, index)


class ServedRows:
    """Counts the rows and the answers of a version. Any thread may keep and read.

    Args:
        build: Gives what is counted of the rows, and of the answers. It is called once, when that is first needed.
        numbers: How many numbers a row and its answers are.
        manifest: Of the version, for comparison.

    Attributes:
        manifest: As given.
    """

    def __init__(
        self, build: Callable[[], tuple[Sequence[Counted], Sequence[Counted]]], numbers: int, manifest: ModelManifest
    ) -> None:
        self.manifest = manifest
        self._build = build
        # Of the columns and of the answers; None until they are built. `_counting` is held to build and to count.
        self._cells: tuple[_CellCounts, _CellCounts] | None = None
        self._counting = threading.Lock()
        self._builder: threading.Thread | None = None
        self._most_kept_rows = max(1, min(_MOST_KEPT_ROWS, _MOST_KEPT_NUMBERS // numbers))
        # A model that was replaced may still run in its thread while the new one runs on the event loop.
        self._keeping = threading.Lock()
        self._kept: list[tuple[Rows, NDArray[Any]]] = []
        self._kept_rows = 0
        # Nothing is counted from now on: there is nothing to count, or an error.
        self._has_ended = False

    @classmethod
    def of(cls, manifest: ModelManifest) -> Self | None:
        """For a version; None if nothing is known of its training rows and answers."""
        if not may_be_counted(manifest):
            return None
        numbers = len(manifest.features) + manifest.outputs[0].shape[1]
        return cls(partial(_counted, manifest), numbers, manifest)

    def keep(self, rows: Rows, answers: NDArray[Any]) -> None:
        """Count the rows of one run, soon.

        Args:
            rows: ``[rows, features]``; must not change any more.
            answers: ``[rows, outputs]``, likewise.
        """
        count = len(rows)
        if self._has_ended or count != len(answers):  # a run of the wrong length fails its requests
            return
        with self._keeping:
            self._kept.append((rows, answers))
            self._kept_rows += count
        if self._kept_rows >= self._most_kept_rows:
            self._count_many()

    def read(self) -> tuple[list[CountedRows], list[CountedRows]]:
        """The counts of the columns, and those of the answers, of all rows so far. The first call builds the cells."""
        with self._counting:
            if self._cells is None:
                self._cells = self._built()
            columns, answers = self._cells
            self._count(columns, answers)
            return columns.read(), answers.read()

    def _count_many(self) -> None:
        """Count what is kept, but build no cells here: the caller may be the event loop."""
        waits = self._kept_rows >= _MOST_KEPT_TIMES * self._most_kept_rows
        if self._cells is None:
            try:
                builder = self._begin_to_build()
            except RuntimeError:  # the system gives no more threads; the next run tries again
                if waits:
                    self.read()
                return
            if not waits:
                return
            builder.join()
        # If the lock is taken, another thread is counting them already.
        if self._cells is not None and self._counting.acquire(blocking=waits):
            try:
                self._count(*self._cells)
            finally:
                self._counting.release()

    def _begin_to_build(self) -> threading.Thread:
        """The thread that builds the cells, and counts what is kept."""
        with self._keeping:
            if self._builder is None:
                builder = threading.Thread(
                    target=self._build_and_count, name=f"cells of {self.manifest.name}", daemon=True
                )
                builder.start()
                self._builder = builder
            return self._builder

    def _build_and_count(self) -> None:
        try:
            take_brief_slices()
            self.read()
        except Exception:  # otherwise rows would be kept without end: no other thread builds the cells
            self._end()

    def _built(self) -> tuple["_CellCounts", "_CellCounts"]:
        """The cells of the columns and of the answers.

        An error must not stop a version, whose manifest anybody may have written: then its rows are not counted.
        """
        try:
            with brief_turns():
                columns, answers = self._build()
                cells = _CellCounts(columns), _CellCounts(answers)
            if columns or answers:
                return cells
        except Exception:
            name, version = self.manifest.name, self.manifest.version
            _log.exception("rows of model %s version %d cannot be counted", name, version)
        self._has_ended = True
        return _CellCounts(()), _CellCounts(())

    def _count(self, columns: "_CellCounts", answers: "_CellCounts") -> None:
        """Count what is kept. An error here must not fail a request."""
        with self._keeping:
            blocks, self._kept, self._kept_rows = self._kept, [], 0
        if not blocks or self._has_ended:
            return
        try:
            rows, outputs = (np.concatenate(each) for each in zip(*blocks, strict=True))
            columns.add(rows)
            answers.add(outputs)
        except Exception:
            self._end()

    def _end(self) -> None:
        """Log the error that is being handled. The counts stand still from now on."""
        _log.exception("served rows can no longer be counted; predictions go on")
        self._has_ended = True


def _counted(manifest: ModelManifest) -> tuple[tuple[Counted, ...], tuple[Counted, ...]]:
    return counted_columns(manifest), counted_answers(manifest)


class _CellCounts:
    """The counts of several columns: since the load, and of the last rows."""

    def __init__(self, counted: Sequence[Counted]) -> None:
        self._counted = counted
        ends = np.cumsum([0, *(len(each.labels) for each in counted)])
        self._slices = [slice(*ends[place : place + 2]) for place in range(len(counted))]
        self._total = np.zeros(ends[-1], np.int64)
        self._part, self._part_rows = np.zeros_like(self._total), 0
        self._parts: deque[tuple[Counts, int]] = deque()
        self._parts_rows = 0

    def add(self, rows: Rows) -> None:
        """Count rows [rows, features]."""
        for each, cells in zip(self._counted, self._slices, strict=True):
            self._part[cells] += each.count(rows)
        self._part_rows += len(rows)
        if self._part_rows >= LEAST_ROWS:
            self._total += self._part
            self._parts.append((self._part, self._part_rows))
            self._parts_rows += self._part_rows
            self._part, self._part_rows = np.zeros_like(self._total), 0
            while self._parts_rows - self._parts[0][1] >= _LATEST_ROWS:
                self._parts_rows -= self._parts.popleft()[1]

    def read(self) -> list[CountedRows]:
        """The counts of each."""
        total = self._total + self._part
        latest = sum((part for part, _ in self._parts), self._part) if self._parts else None
        return [
            CountedRows.of(each, total[cells], None if latest is None else latest[cells])
            for each, cells in zip(self._counted, self._slices, strict=True)
        ]


def stability_index(counts: Counts, expected: Shares) -> float:
    """The population stability index of rows by cell.

    Args:
        counts: ``[cells]``, at least one row.
        expected: ``[cells]``, each above 0.

    Source: Siddiqi, Credit Risk Scorecards, 2006. The recording rules `kan:column_drift` compute the same.
    """
    shares = np.maximum(counts / counts.sum(), LEAST_SHARE)
    return float(((shares - expected) * np.log(shares / expected)).sum())
