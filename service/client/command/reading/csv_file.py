"""A CSV file as blocks of rows: its header, its separator, and the rows that do not fit the header."""

import csv
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kan_api.cells import quoted
from service.client.command.reading.csv_records import RecordBlock, Records
from service.client.command.reading.file_block import FileBlock, name_place, name_places
from service.client.command.reading.text_lines import TextLines
from service.client.encoding.table_rows import TableRows
from service.client.errors import InvalidInput, list_names, near_names

_SEPARATORS: Final = (",", ";", "\t", "|")
_QUOTES: Final = "a quote inside a cell is written twice"


def csv_blocks(text: TextLines, source: str, names: Sequence[str], block_rows: int) -> Iterator[FileBlock]:
    """The rows of a CSV text block by block; arguments as of :func:`service.client.command.row_file.read_blocks`."""
    lines = iter(text)
    head = _header_lines(lines)
    if not head:
        raise InvalidInput(f"{source}: the file is empty; wanted a header with the names of the columns")
    for number, fault in text.faults.items():
        raise InvalidInput(f"{source}: line {number} {fault}")
    separator = _separator(head, names)
    records = Records(itertools.chain(head, lines), separator)
    header = _header(records.next_block(1), source)
    _check_header(source, header, names)
    places = {name: header.index(name) for name in names}
    ignored = tuple(name for name in header if name.strip() and name not in places)
    first = 0
    while (block := records.next_block(block_rows)).records:
        faults = _faults(block, text, source, first, len(header))
        empty = [""] * len(header)
        for row in faults:
            # The row's cells may be under other columns than they seem, so none is taken.
            block.records[row] = empty
        columns = {name: [record[place] for record in block.records] for name, place in places.items()}
        placing = name_places(source, first, block.line_of)
        yield FileBlock(TableRows(columns, len(block.records), placing, ignored), faults)
        first += len(block.records)


def _header(block: RecordBlock, source: str) -> list[str]:
    for why in block.faults.values():
        raise InvalidInput(f"{source}: line {block.line_of(0)}: not readable as CSV: {why}; {_QUOTES}")
    return block.records[0]


def _faults(block: RecordBlock, text: TextLines, source: str, first: int, width: int) -> Mapping[int, str]:
    """For each row that is no row of this table: what is wrong with it."""
    if not block.faults and not text.faults and not any(map(width.__ne__, map(len, block.records))):
        return {}
    faults: dict[int, str] = {}
    rows = len(block.records)
    for row, record in enumerate(block.records):
        line = block.line_of(row)
        place = name_place(source, first + row, line)
        end = block.line_of(row + 1) if row + 1 < rows else block.first_line + len(block.lines)
        not_utf8 = [text.faults.pop(number) for number in range(line, end) if number in text.faults]
        if row in block.faults:
            faults[row] = f"{place} is not readable as CSV: {block.faults[row]}; {_QUOTES}"
        elif not_utf8:
            faults[row] = f"{place} {not_utf8[0]}"
        elif len(record) != width:
            faults[row] = (
                f"{place} has {len(record)} cells, the header has {width}; the separator is taken to be "
                f"{quoted(block.separator)}"
            )
    return faults


def _header_lines(lines: Iterator[str]) -> list[str]:
    """The lines of the header, and blank lines before it. A name in quotes may contain line ends."""
    head: list[str] = []
    quotes, is_blank = 0, True
    for line in lines:
        head.append(line)
        quotes += line.count('"')
        is_blank = is_blank and not line.strip()
        if not is_blank and quotes % 2 == 0:
            return head
    return [] if is_blank else head


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


def _check_header(source: str, header: list[str], names: Sequence[str]) -> None:
    for place, name in enumerate(header):
        if name in header[:place] and name.strip():
            raise InvalidInput(
                f"{source}: columns {header.index(name) + 1} and {place + 1} are both called {quoted(name)}"
            )
    absent = [name for name in names if name not in header]
    if absent and header[0].lstrip()[:1] in ("[", "{"):
        raise InvalidInput(
            f"{source}: this seems to be JSON, read as CSV; wanted --format jsonl, with one object on each line (in "
            'pandas: to_json(..., orient="records", lines=True))'
        )
    if len(absent) == len(names) and all(re.fullmatch(r"\s*[-+.\deE]*\s*", name) for name in header):
        raise InvalidInput(
            f"{source}: the first line holds {list_names(header)}; a header is needed: the names of the columns, "
            f"{list_names(list(names))}, in any order"
        )
    if absent:
        hint = near_names(absent, header)
        count = "column" if len(absent) == 1 else "columns"
        raise InvalidInput(f"{source}: {count} {list_names(absent)} missing; the header has {list_names(header)}{hint}")
