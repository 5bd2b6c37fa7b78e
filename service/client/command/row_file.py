"""CSV and JSON lines as blocks of rows. Memory does not grow with the length of the file."""

import csv
import difflib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from kan_api.cells import quoted
from service.client.command.printed import ByteLines
from service.client.errors import InvalidInput, list_names
from service.client.rows import TableRows, rows_of

Format = Literal["csv", "jsonl"]

_SEPARATORS = (",", ";", "\t", "|")
_LONGEST_LINE_BYTES = 2**24


def read_blocks(
    stream: ByteLines, source: str, file_format: Format, names: Sequence[str], block_rows: int
) -> Iterator[TableRows]:
    """Read a table block by block.

    Args:
        stream: UTF-8. CSV with a header (comma, semicolon, tab or | between cells), or one JSON object a line.
        source: name of the stream, for messages.
        file_format: CSV or JSON lines.
        names: the columns to take. The file may have them in any order; other columns are ignored.
        block_rows: most rows of a block.

    Yields:
        The rows in order; nothing for a table without rows.

    Raises:
        InvalidInput: when the text does not have this format or a column is absent. The message has row and line.
    """
    lines = _lines(stream, source)
    if file_format == "csv":
        return _csv_blocks(lines, source, names, block_rows)
    return _json_blocks(lines, source, names, block_rows)


def _csv_blocks(lines: Iterator[str], source: str, names: Sequence[str], block_rows: int) -> Iterator[TableRows]:
    head = _header_lines(lines)
    if not head:
        raise InvalidInput(f"{source}: the file is empty; wanted a header with the names of the columns")
    separator = _separator(head, names)
    records = _records(itertools.chain(head, lines), source, separator)
    _, header = next(records)
    _check_header(source, header, names)
    places = {name: header.index(name) for name in names}
    ignored = tuple(name for name in header if name.strip() and name not in places)
    first = 0
    while block := list(itertools.islice(records, block_rows)):
        starts = [line for line, _ in block]
        for row, (_, record) in enumerate(block):
            if len(record) != len(header):
                raise InvalidInput(
                    f"{_place(source, first + row, starts[row])} has {len(record)} cells, the header has "
                    f"{len(header)}; the separator is taken to be {quoted(separator)}"
                )
        columns = {name: [record[place] for _, record in block] for name, place in places.items()}
        yield TableRows(columns, len(block), _placing(source, first, starts), ignored)
        first += len(block)


def _json_blocks(lines: Iterator[str], source: str, names: Sequence[str], block_rows: int) -> Iterator[TableRows]:
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    first = 0
    while block := list(itertools.islice(numbered, block_rows)):
        placing = _placing(source, first, [number for number, _ in block])
        records = []
        for row, (_, line) in enumerate(block):
            try:
                records.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise InvalidInput(f"{placing(row)} is not one JSON object on one line: {error}") from None
        yield rows_of(records, names, placing)
        first += len(block)


def _placing(source: str, first: int, starts: list[int]) -> Callable[[int], str]:
    """A function that gives the position of row n of a block in words."""
    return lambda row: _place(source, first + row, starts[row])


def _place(source: str, row: int, line: int) -> str:
    """The position of a row in words: its number, counted from 1 without the header, and its line."""
    return f"{source}: row {row + 1} (line {line})"


def _lines(stream: ByteLines, source: str) -> Iterator[str]:
    r"""Each line with its "\n". The error for a byte that is not UTF-8 names the line."""
    for number in itertools.count(1):
        content = stream.readline(_LONGEST_LINE_BYTES)
        if not content:
            return
        if len(content) == _LONGEST_LINE_BYTES:
            raise InvalidInput(f"{source}: line {number} is longer than {_LONGEST_LINE_BYTES} bytes; is this text?")
        if number == 1 and content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InvalidInput(f"{source}: the text is UTF-16; save it as UTF-8")
        try:
            line = content.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{source}: line {number} holds the byte 0x{content[error.start]:02X}, which is not UTF-8; save the "
                "text as UTF-8 (spreadsheets call it 'CSV UTF-8'; on a shell: iconv -f LATIN1 -t UTF-8)"
            ) from None
        yield line


def _header_lines(lines: Iterator[str]) -> list[str]:
    """The lines of the header, and blank lines before it. A name in quotes may contain line ends."""
    head: list[str] = []
    for line in lines:
        head.append(line)
        text = "".join(head)
        if text.strip() and text.count('"') % 2 == 0:
            return head
    return head if "".join(head).strip() else []


def _separator(head: list[str], names: Sequence[str]) -> str:
    """The separator that gives the most of the wanted names; among equals, the one that gives the most cells."""
    wanted = set(names)

    def count_cells(separator: str) -> tuple[int, int]:
        try:
            cells = next((record for record in csv.reader(head, delimiter=separator, strict=True) if record), [])
        except csv.Error:
            return (0, 0)
        return (len(wanted.intersection(cells)), len(cells))

    return max(_SEPARATORS, key=count_cells)


def _records(lines: Iterator[str], source: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not a blank line, with the number of its first line."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    start = 1
    try:
        for record in reader:
            if record:
                yield start, record
            start = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInput(f"{source}: line {start}: not readable as CSV: {error}") from None


def _check_header(source: str, header: list[str], names: Sequence[str]) -> None:
    for place, name in enumerate(header):
        if name in header[:place] and name.strip():
            raise InvalidInput(
                f"{source}: columns {header.index(name) + 1} and {place + 1} are both called {quoted(name)}"
            )
    absent = [name for name in names if name not in header]
    if len(absent) == len(names) and all(re.fullmatch(r"\s*[-+.\deE]*\s*", name) for name in header):
        raise InvalidInput(
            f"{source}: the first line holds {list_names(header)}; a header is needed: the names of the columns, "
            f"{list_names(list(names))}, in any order"
        )
    if absent:
        near = dict.fromkeys(name for one in absent for name in difflib.get_close_matches(one, header, n=1))
        hint = f"; near: {list_names(list(near))}" if near else ""
        count = "column" if len(absent) == 1 else "columns"
        raise InvalidInput(f"{source}: {count} {list_names(absent)} missing; the header has {list_names(header)}{hint}")
