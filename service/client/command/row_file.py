"""CSV and JSON lines as blocks of rows. Memory does not grow with the length of the file."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from service.client.command.reading.csv_file import csv_blocks
from service.client.command.reading.file_block import FileBlock
from service.client.command.reading.json_lines import json_blocks
from service.client.command.reading.text_lines import ByteLines, TextLines
from service.client.encoding.table_rows import Decimal

Format = Literal["csv", "jsonl"]


def read_blocks(
    stream: ByteLines,
    source: str,
    file_format: Format,
    names: Sequence[str],
    block_rows: int,
    decimal: Decimal = ".",
) -> Iterator[FileBlock]:
    """Read a table block by block.

    Args:
        stream: UTF-8. CSV with a header (comma, semicolon, tab or | between cells), or one JSON object a line.
        source: name of the stream, for messages.
        file_format: CSV or JSON lines.
        names: the columns to take. The file may have them in any order; other columns are ignored.
        block_rows: most rows of a block.
        decimal: the mark before the decimals of numbers that are text.

    Yields:
        The rows in order; nothing for a table without rows. A row that is not readable has its fault beside it.

    Raises:
        InvalidInput: when the text does not have this format at all, or a column is absent from the header (of JSON
            lines: from every row of the first block). The message has the line.
    """
    text = TextLines(stream, source)
    read = csv_blocks if file_format == "csv" else json_blocks
    for block in read(text, source, names, block_rows):
        yield replace(block, rows=replace(block.rows, decimal=decimal))
