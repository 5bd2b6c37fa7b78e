"""Text with separators, cut by Python's csv module: every file that can be read at all, record by record."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.data.table.header import refuse_twice
from training.data.table.table import Table
from training.errors import DataError, quoted

SNIFFED_RECORDS = 50
SEPARATORS = (",", ";", "\t", "|")
_LARGEST_CELL_BYTES = 2**24


def read_csv(path: Path, content: bytes) -> Table:
    """Read a file.

    Args:
        path: Of the file, for messages.
        content: Of the file.

    Raises:
        DataError: as :func:`training.data.table.read_table`.
    """
    text = _decode(path, content)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    separator = find_separator(text)
    records = _records(path, text, separator)
    _, header = next(records)
    refuse_twice(path, header)
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, record in records:
        if len(record) != len(header):
            raise refuse_width(path, len(rows), line, len(record), len(header), separator)
        rows.append(record)
        lines.append(line)
    columns = np.array(rows, dtype=object).reshape(len(rows), len(header)).T
    cells = {name: column.copy() for name, column in zip(header, columns, strict=True) if name.strip()}
    return Table(path.name, cells, len(rows), np.array(lines, dtype=np.int64), len(header) - len(cells))


def refuse_width(path: Path, row: int, line: int, cells: int, wanted: int, separator: str) -> DataError:
    """An error about a row with more or fewer cells than the header; the caller raises it."""
    return DataError(
        f"{path}: row {row + 1} (line {line}) has {cells} cells, the header has {wanted}; "
        f"the separator is taken to be {quoted(separator)}"
    )


def _decode(path: Path, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: the file is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line} holds the byte 0x{content[error.start]:02X}, which is not UTF-8; save the file as "
            "UTF-8 (spreadsheets call it 'CSV UTF-8'; on a shell: iconv -f CP1252 -t UTF-8)"
        ) from None


def find_separator(text: str) -> str:
    """The separator that gives every one of the first records the same number of cells, as many as possible."""
    best, best_key = ",", (False, 1)
    for candidate in SEPARATORS:
        counts = []
        try:
            for record in csv.reader(io.StringIO(text, newline=""), delimiter=candidate):
                counts.append(len(record))
                if len(counts) > SNIFFED_RECORDS:
                    break
        except csv.Error:
            continue
        counts = [count for count in counts if count > 0]
        key = (len(set(counts)) == 1, counts[0]) if counts and counts[0] > 1 else (False, 1)
        if key > best_key:
            best, best_key = candidate, key
    return best


def _records(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line at which each record starts, and its cells; blank lines are skipped."""
    csv.field_size_limit(_LARGEST_CELL_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    start = 1
    try:
        for record in reader:
            if record:
                yield start, record
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {start}: not readable as CSV: {error}") from None
