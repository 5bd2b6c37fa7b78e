"""Text with separators, cut quickly where each line is a row and splits at each separator.

That is so if the file holds no NUL and no carriage return that does not end a line, and if quotes surround whole cells
without a quote or a line break in them (:mod:`training.data.table.quotes`). Then Python's csv module cuts at the same
places, which :mod:`training.data.table.csv_file` does for every other file. pyarrow alone would be no replacement: it
takes malformed files that the csv module refuses, and does not name the line.
"""

import codecs
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
from numpy.typing import NDArray

from training.data.table.cell_values import Decimal
from training.data.table.csv_file import SEPARATORS, SNIFFED_RECORDS, find_separator, refuse_width
from training.data.table.header import refuse_twice
from training.data.table.quick_cells import QuickCells
from training.data.table.quotes import Places, count_hidden
from training.data.table.table import Table

_BLOCK_BYTES = 2**23
# The csv module bounds a cell, at first at 131,072 characters. Blocks of pyarrow hold whole lines.
_LONGEST_LINE_BYTES = 100_000


@dataclass(frozen=True)
class _Lines:
    """Where each line starts and ends in the file's bytes, without its line break, and whether it is blank."""

    starts: Places
    ends: Places
    is_blank: NDArray[np.bool_]


def read_quick_csv(path: Path, content: bytes, decimal: Decimal = ".") -> Table | None:
    """Read a file whose lines split at each separator.

    Args:
        path: Of the file, for messages.
        content: Of the file.
        decimal: The mark before the decimals of numbers.

    Returns:
        The table; None if the file may be anything else, so that the csv module must read it.

    Raises:
        DataError: two columns have one name, or a row has more or fewer cells than the header.
    """
    start = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    if not _is_plain(content):
        return None
    lines = _find_lines(content, start)
    filled = np.flatnonzero(~lines.is_blank)
    if len(filled) < 2 or (lines.ends - lines.starts).max() > _LONGEST_LINE_BYTES:
        return None
    first, rows = filled[0], filled[1:]
    separator = _find_separator(content[start : lines.ends[: SNIFFED_RECORDS + 2].max() + 1])
    if separator is None:
        return None
    header = next(csv.reader([content[lines.starts[first] : lines.ends[first]].decode()], delimiter=separator))
    body = int(lines.starts[rows[0]])
    # pyarrow would drop a byte order mark there.
    if not any(name.strip() for name in header) or content.startswith(codecs.BOM_UTF8, body):
        return None
    if not _check_widths(path, content, lines, filled, header, separator):
        return None
    try:
        cells = QuickCells(pyarrow.py_buffer(content).slice(body), separator, header, len(rows), decimal)
    except (pyarrow.ArrowException, ValueError):
        return None
    return Table(path.name, cells, len(rows), rows + 1, len(header) - len(cells))


def _is_plain(content: bytes) -> bool:
    """Whether the bytes are UTF-8 without NUL, and with carriage returns only before line feeds."""
    if b"\0" in content or content.count(b"\r") != content.count(b"\r\n"):
        return False
    if content.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), _BLOCK_BYTES):
            decoder.decode(content[start : start + _BLOCK_BYTES], final=start + _BLOCK_BYTES >= len(content))
    except UnicodeDecodeError:
        return False
    return True


def _find_lines(content: bytes, start: int) -> _Lines:
    data = np.frombuffer(content, dtype=np.uint8)
    found = [
        np.flatnonzero(data[place : place + _BLOCK_BYTES] == ord("\n")) + place
        for place in range(0, len(data), _BLOCK_BYTES)
    ]
    ends = np.concatenate([*found, np.zeros(0, dtype=np.int64)])
    if len(data) > start and data[-1] != ord("\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate([np.array([start]), ends[:-1] + 1])[: len(ends)]
    lengths = ends - starts
    has_return = data[np.maximum(ends - 1, 0)] == ord("\r") if len(ends) else np.zeros(0, dtype=bool)
    ends = ends - (has_return & (lengths > 0))
    return _Lines(starts, ends, starts == ends)


def _find_separator(beginning: bytes) -> str | None:
    """The separator by the first lines; None if with another separator a quoted cell may go beyond them."""
    separator = find_separator(beginning.decode())
    others = [other for other in SEPARATORS if other != separator]
    return None if any(f'{other}"'.encode() in beginning for other in others) else separator


def _check_widths(path: Path, content: bytes, lines: _Lines, filled: Places, header: list[str], separator: str) -> bool:
    """Refuse the first row with more or fewer cells than the header; False if quotes are not around whole cells."""
    data, has_quotes = np.frombuffer(content, dtype=np.uint8), b'"' in content
    starts, ends = lines.starts[filled], lines.ends[filled]
    begin = 0
    while begin < len(filled):
        end = int(np.searchsorted(starts, starts[begin] + _BLOCK_BYTES))
        found = np.flatnonzero(data[starts[begin] : ends[end - 1]] == ord(separator)) + starts[begin]
        counts = np.searchsorted(found, ends[begin:end]) - np.searchsorted(found, starts[begin:end])
        if has_quotes:
            hidden = count_hidden(data, found, starts[begin:end], ends[begin:end], separator)
            if hidden is None:
                return False
            counts -= hidden
        if begin == 0:
            refuse_twice(path, header)
        if len(wrong := np.flatnonzero(counts != len(header) - 1)):
            row = begin + int(wrong[0])
            raise refuse_width(path, row - 1, int(filled[row]) + 1, int(counts[wrong[0]]) + 1, len(header), separator)
        begin = end
    return True
