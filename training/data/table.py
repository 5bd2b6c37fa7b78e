"""The user's own table, read from CSV or Parquet without guesses: cells stay text unless the file gives a type."""

import csv
import datetime
import difflib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray

from training.errors import DataError, quoted, quoted_list

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")

_SEPARATORS = (",", ";", "\t", "|")
_SNIFFED_RECORDS = 50
_LARGEST_CELL_BYTES = 2**24
_EXACT = 2**53

Cells = NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    `cells` holds for each column, in file order, either float64 numbers (NaN: missing) or an object array of str ("":
    missing). `lines` is the line of the file at which each row starts; None for a file without lines (Parquet).
    """

    source: str
    cells: dict[str, Cells]
    rows: int
    lines: NDArray[np.int64] | None = None
    unnamed_columns: int = 0

    def place(self, row: int) -> str:
        """The row's number, counted from 1 without the header, and its line in the file: "row 2 (line 3)"."""
        return f"row {row + 1}" if self.lines is None else f"row {row + 1} (line {self.lines[row]})"

    def problem(self, column: str, text: str) -> DataError:
        """An error about one column; the caller raises it."""
        return DataError(f"{self.source}: column {quoted(column)}: {text}")

    def require(self, column: str, why: str) -> None:
        """Raise DataError, with the nearest names, unless the table has the column."""
        if column in self.cells:
            return
        names = list(self.cells)
        near = difflib.get_close_matches(column, names, n=3, cutoff=0.5)
        near += [name for name in names if name.strip().lower() == column.strip().lower() and name not in near]
        known = f"the nearest are {quoted_list(near)}" if near else f"the columns are {quoted_list(names)}"
        if all(re.fullmatch(r"\s*[-+.\deE]+\s*", name) for name in names):
            known += "; the first line holds numbers only, is the header missing?"
        raise DataError(f"{self.source}: there is no column {quoted(column)} ({why}); {known}")


def read_table(path: Path) -> Table:
    """Read a CSV or Parquet file.

    Args:
        path: A .csv, .tsv, .txt, .parquet or .pq file. Text is UTF-8 with a header in the first line and a comma,
            semicolon, tab or | between cells.

    Raises:
        DataError: the file is missing, empty, of another kind or not UTF-8; it has no rows, two columns of one name,
            or a row with more or fewer cells than the header.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    if suffix not in TEXT_SUFFIXES + PARQUET_SUFFIXES:
        raise DataError(f"{path}: wanted a file that ends in {', '.join(TEXT_SUFFIXES + PARQUET_SUFFIXES)}")
    try:
        table = _read_parquet(path) if suffix in PARQUET_SUFFIXES else _read_csv(path)
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error.strerror or error}") from None
    if table.rows == 0:
        raise DataError(f"{path}: there is a header and no row below it")
    if not table.cells:
        raise DataError(f"{path}: no column has a name; wanted a header in the first line")
    return table


def _read_csv(path: Path) -> Table:
    text = _decode(path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    separator = _separator(text)
    records = _records(path, text, separator)
    _, header = next(records)
    _refuse_twice(path, header)
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, record in records:
        if len(record) != len(header):
            raise DataError(
                f"{path}: row {len(rows) + 1} (line {line}) has {len(record)} cells, the header has {len(header)}; "
                f"the separator is taken to be {quoted(separator)}"
            )
        rows.append(record)
        lines.append(line)
    columns = np.array(rows, dtype=object).reshape(len(rows), len(header)).T
    cells = {name: column.copy() for name, column in zip(header, columns, strict=True) if name.strip()}
    return Table(path.name, cells, len(rows), np.array(lines, dtype=np.int64), len(header) - len(cells))


def _decode(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: the file is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line} holds the byte 0x{content[error.start]:02X}, which is not UTF-8; save the file as "
            "UTF-8 (spreadsheets call it 'CSV UTF-8'; on a shell: iconv -f LATIN1 -t UTF-8)"
        ) from None


def _separator(text: str) -> str:
    """The separator that gives every one of the first records the same number of cells, as many as possible."""
    best, best_key = ",", (False, 1)
    for candidate in _SEPARATORS:
        counts = []
        try:
            for record in csv.reader(io.StringIO(text, newline=""), delimiter=candidate):
                counts.append(len(record))
                if len(counts) > _SNIFFED_RECORDS:
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


def _read_parquet(path: Path) -> Table:
    try:
        frame = pd.read_parquet(path)
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(f"{path}: not readable as Parquet: {str(error).splitlines()[0]}") from None
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    header = [str(name) for name in frame.columns]
    _refuse_twice(path, header)
    cells = {name: _to_cells(frame.iloc[:, place]) for place, name in enumerate(header) if name.strip()}
    return Table(path.name, cells, len(frame), None, len(header) - len(cells))


def _refuse_twice(path: Path, header: list[str]) -> None:
    seen: dict[str, int] = {}
    for place, name in enumerate(header, start=1):
        if name in seen and name.strip():
            raise DataError(f"{path}: columns {seen[name]} and {place} are both called {quoted(name)}")
        seen[name] = place


def _to_cells(column: "pd.Series[Any]") -> Cells:
    """Numbers as float64; everything else as text, dates in ISO 8601."""
    types, present = pd.api.types, column.dropna()
    is_number = types.is_numeric_dtype(column) and not (types.is_bool_dtype(column) or types.is_complex_dtype(column))
    # float64 would make different whole numbers of this size equal; they are mostly keys, so they stay text.
    if is_number and not (types.is_integer_dtype(column) and not present.between(-_EXACT, _EXACT).all()):
        return cast(Cells, column.to_numpy(dtype=np.float64, na_value=np.nan))
    cells = np.full(len(column), "", dtype=object)
    cells[column.notna().to_numpy()] = [
        value.isoformat() if isinstance(value, datetime.date) else str(value) for value in present.tolist()
    ]
    return cells
