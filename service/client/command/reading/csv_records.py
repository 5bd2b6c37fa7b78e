"""The records of a CSV text, many at a time. A record with a wrong quote costs one row, not the rest of the file."""

import csv
import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final


@dataclass(frozen=True)
class RecordBlock:
    """Consecutive records; blank lines are no records.

    records     the cells of each record; of a record that cannot be read, none
    faults      for each record that cannot be read: why
    lines       the text of the records, line by line
    first_line  the number of the first of these lines, counted from 1
    separator   between cells
    """

    records: list[list[str]]
    faults: Mapping[int, str]
    lines: list[str]
    first_line: int
    separator: str

    def line_of(self, record: int) -> int:
        """The number of the line where a record begins. Only messages need it, so it is counted on demand."""
        if len(self.lines) == len(self.records):
            return self.first_line + record
        return self._starts[record]

    @cached_property
    def _starts(self) -> list[int]:
        text = Records(iter(self.lines), self.separator, self.first_line)
        starts = []
        while (start := text.next_start()) is not None:
            starts.append(start)
        return starts


class Records:
    """The records of a text.

    Args:
        lines: the text, line by line.
        separator: between cells.
        first_line: the number of the first line.
    """

    def __init__(self, lines: Iterator[str], separator: str, first_line: int = 1) -> None:
        self._lines: Final = lines
        self._separator: Final = separator
        self._line = first_line  # the number of the next line to read
        self._held: list[str] = []  # lines read since the last block
        self._again: deque[str] = deque()  # lines to read once more, before the others
        self._reader = self._begin()

    def next_block(self, most: int) -> RecordBlock:
        """The next records, at most that many; none at the end of the text."""
        try:
            records = list(itertools.islice(filter(None, self._reader), most))
        except csv.Error:
            return self._next_block_with_faults(most)
        return self._block(records, {}, self._take_held())

    def next_start(self) -> int | None:
        """Read one record and give the number of its first line; None at the end of the text."""
        while True:
            start = self._line
            record, _, lines = self._next_record()
            if not lines:
                return None
            self._line += len(lines)
            if record is None or record:
                return start

    def _next_block_with_faults(self, most: int) -> RecordBlock:
        """As `next_block`, record by record, from the first line that was read for this block."""
        self._read_again(self._take_held())
        records: list[list[str]] = []
        faults: dict[int, str] = {}
        lines: list[str] = []
        while len(records) < most:
            record, why, read = self._next_record()
            if not read:
                break
            lines += read
            if record is None:
                faults[len(records)] = why
                records.append([])
            elif record:
                records.append(record)
        return self._block(records, faults, lines)

    def _next_record(self) -> tuple[list[str] | None, str, list[str]]:
        """The next record, [] for a blank line, and its lines; no lines at the end of the text.

        A record that cannot be read is None, with the reason. It may have taken many lines for one cell, up to a quote
        that belongs to another row. So its first line alone is the faulty record, and the others are read again.
        """
        try:
            record = next(self._reader, [])
        except csv.Error as error:
            read = self._take_held()
            self._read_again(read[1:])
            return None, str(error), read[:1]
        return record, "", self._take_held()

    def _block(self, records: list[list[str]], faults: Mapping[int, str], lines: list[str]) -> RecordBlock:
        block = RecordBlock(records, faults, lines, self._line, self._separator)
        self._line += len(lines)
        return block

    def _take_held(self) -> list[str]:
        lines = self._held[:]
        self._held.clear()
        return lines

    def _read_again(self, lines: list[str]) -> None:
        self._again.extendleft(reversed(lines))
        self._reader = self._begin()

    def _begin(self) -> "Iterator[list[str]]":
        return csv.reader(self._feed(), delimiter=self._separator, strict=True)

    def _feed(self) -> Iterator[str]:
        hold, again = self._held.append, self._again
        while again:
            line = again.popleft()
            hold(line)
            yield line
        for line in self._lines:
            hold(line)
            yield line
