"""A file of JSON lines as blocks of rows: one object a line, its cells by column name."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from service.client.command.reading.file_block import FileBlock, name_places
from service.client.command.reading.text_lines import TextLines
from service.client.encoding.rows import rows_of
from service.client.encoding.table_rows import TableRows
from service.client.errors import InvalidInput


def json_blocks(text: TextLines, source: str, names: Sequence[str], block_rows: int) -> Iterator[FileBlock]:
    """The rows of JSON lines block by block; arguments as of :func:`service.client.command.row_file.read_blocks`."""
    numbered = ((number, line) for number, line in enumerate(text, start=1) if line.strip())
    first = 0
    while block := list(itertools.islice(numbered, block_rows)):
        starts = [number for number, _ in block]
        placing = name_places(source, first, starts.__getitem__)
        faults: dict[int, str] = {}
        try:
            records = [json.loads(line) for _, line in block]
        except (ValueError, RecursionError):
            records = _readable(block, placing, faults)
        if text.faults:
            for row, number in enumerate(starts):
                if number in text.faults:
                    faults[row] = f"{placing(row)} {text.faults.pop(number)}"
                    records[row] = None
        try:
            rows = rows_of(records, names, placing)
        except InvalidInput:
            faults |= _find_faults(records, names, placing, faults)
            if first == 0:
                _check_columns(records, names, faults)
            rows = _known_cells(records, names, placing)
        yield FileBlock(rows, faults)
        first += len(block)


def _readable(block: Sequence[tuple[int, str]], placing: Callable[[int], str], faults: dict[int, str]) -> list[object]:
    """The records of a block: None for one that is not readable, with its fault."""
    records: list[object] = []
    for row, (_, line) in enumerate(block):
        record: object = None
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            faults[row] = f"{placing(row)} is not one JSON object on one line: {error}"
        records.append(record)
    return records


def _find_faults(
    records: Sequence[object], names: Sequence[str], placing: Callable[[int], str], known: Mapping[int, str]
) -> dict[int, str]:
    """What is wrong with each row that is no object or lacks a column."""
    faults = {}
    for row, record in enumerate(records):
        if row in known:
            continue
        place = placing(row)
        try:
            rows_of([record], names, lambda _: place)  # noqa: B023 - called before the next row
        except InvalidInput as error:
            faults[row] = str(error)
    return faults


def _check_columns(records: Sequence[object], names: Sequence[str], faults: Mapping[int, str]) -> None:
    """Refuse a file that lacks a column as a whole. Without a header, its first block shows that.

    Raises:
        InvalidInput: when no row of the block has one of the columns.
    """
    objects = {row: record for row, record in enumerate(records) if isinstance(record, Mapping)}
    if not all(any(name in record for record in objects.values()) for name in names):
        raise InvalidInput(next((faults[row] for row in objects if row in faults), faults[min(faults)]))


def _known_cells(records: Sequence[object], names: Sequence[str], placing: Callable[[int], str]) -> TableRows:
    """The rows with None where a cell is not known."""
    objects = [record if isinstance(record, Mapping) else {} for record in records]
    wanted = set(names)
    ignored = dict.fromkeys(str(name) for record in objects for name in record if name not in wanted)
    columns = {name: [record.get(name) for record in objects] for name in names}
    return TableRows(columns, len(objects), placing, tuple(ignored))
