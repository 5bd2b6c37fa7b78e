"""CSV and JSON lines, block by block."""

import csv
import io
import itertools
import json
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client.command.reading.file_block import FileBlock
from service.client.command.row_file import Format, read_blocks
from service.client.errors import InvalidInput
from training.data.table import read_table


def blocks(
    content: bytes, file_format: Format = "csv", names: tuple[str, ...] = ("a", "b"), size: int = 100
) -> list[FileBlock]:
    """All blocks of a file called t."""
    return list(read_blocks(io.BytesIO(content), "t", file_format, names, size))


def cells(content: bytes, file_format: Format = "csv", names: tuple[str, ...] = ("a", "b")) -> dict[str, list[object]]:
    """All cells by column."""
    read = blocks(content, file_format, names)
    return {name: [cell for block in read for cell in block.rows.columns[name]] for name in names}


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,x\n2,y\n",
        b"b,a\nx,1\ny,2",
        b"a;b\r\n1;x\r\n2;y\r\n",
        b"a\tb\n1\tx\n\n\n2\ty\n\n",
        b"a|b\n1|x\n2|y\n",
        b"\xef\xbb\xbfa,b\n1,x\n2,y\n",
        b"\n\na,b\n1,x\n2,y\n",
        b'"a","b"\n"1","x"\n"2","y"\n',
        b"c,a,,b\n0,1,,x\n0,2,z,y\n",
    ],
)
def test_csv_is_read_whatever_its_separator_line_ends_and_order(content: bytes) -> None:
    """Columns go by their names; a byte order mark, blank lines and unknown columns do no harm."""
    assert cells(content) == {"a": ["1", "2"], "b": ["x", "y"]}


def test_quotes_may_hold_separators_quotes_and_line_ends() -> None:
    """As RFC 4180 has it, in the header as well."""
    content = '"a,\n1",b\r\n"x;y,""z""\r\nü",日本\r\n'.encode()
    assert cells(content, names=("a,\n1", "b")) == {"a,\n1": ['x;y,"z"\r\nü'], "b": ["日本"]}


def test_unknown_columns_are_named() -> None:
    """All unknown columns except those without a name."""
    assert blocks(b"z,a,,y,b\n1,2,3,4,5\n")[0].rows.ignored == ("z", "y")
    assert blocks(b'{"z":1,"a":2,"b":3}\n{"a":2,"b":3,"y":0}\n', "jsonl")[0].rows.ignored == ("z", "y")


def test_json_lines_keep_their_types() -> None:
    """Numbers, words, null and booleans keep their types; blank lines are skipped."""
    content = '\ufeff{"a": 1, "b": "ü"}\r\n\n{"b": null, "a": true}'.encode()
    assert cells(content, "jsonl") == {"a": [1, True], "b": ["ü", None]}


def test_blocks_are_bounded_and_name_their_rows() -> None:
    """Rows are numbered through the whole file. The line of a row is the first line of its record."""
    read = blocks(b'a,b\n1,"x\ny"\n\n2,z\n3,z\n', size=2)
    assert [block.rows.count for block in read] == [2, 1]
    assert [read[0].rows.place(0), read[0].rows.place(1), read[1].rows.place(0)] == [
        "t: row 1 (line 2)",
        "t: row 2 (line 5)",
        "t: row 3 (line 6)",
    ]


def test_a_header_alone_has_no_rows() -> None:
    """No block, no error; so has an empty file of JSON lines."""
    assert blocks(b"a,b\n") == []
    assert blocks(b"", "jsonl") == []


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "t: the file is empty; wanted a header"),
        (b"\n \n", "t: the file is empty"),
        (b"1,2.5\n3,4\n", 't: the first line holds "1", "2.5"; a header is needed: .* "a", "b"'),
        (b"a,c\n1,2\n", 't: column "b" missing; the header has "a", "c"'),
        (b"c,d\n1,2\n", 't: columns "a", "b" missing'),
        (b"A,b \n1,2\n", 't: columns "a", "b" missing; the header has "A", "b "; near: "b "'),
        (b"a,b,a\n1,2,3\n", 't: columns 1 and 3 are both called "a"'),
        (b'a,b"\n1,2\n', 't: column "b" missing'),
        (b'"a"x,b\n1,2\n', "t: line 1: not readable as CSV"),
        (b"a,b\xfc\n1,2\n", "t: line 1 holds the byte 0xFC, which is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "t: the text is UTF-16"),
        (b"PAR1\x15\x04\xff", "t: this is Parquet; wanted CSV or JSON lines"),
        (b"\x1f\x8b\x08", "t: this is compressed; .* zcat"),
        (b"PK\x03\x04\x14", "t: this is a spreadsheet or a zip file"),
        (b"\x93a,b\n", "t: line 1 holds the byte 0x93, which is not UTF-8"),
        (b'[{"a":1,"b":2}]', "t: this seems to be JSON, read as CSV; wanted --format jsonl"),
        (b'{"a":1,"b":2}\n', "t: this seems to be JSON, read as CSV; wanted --format jsonl"),
        (b"a" * 2**24, "t: line 1 is longer than 16777216 bytes"),
    ],
)
def test_what_is_no_csv_is_told_with_its_line(content: bytes, wanted: str) -> None:
    """Each message says what came and what was wanted.

    This table is the one place that pins these messages.
    """
    with pytest.raises(InvalidInput, match=wanted):
        blocks(content)


def faults(content: bytes, file_format: Format = "csv", size: int = 100) -> dict[int, str]:
    """The faults of all rows, by the number of the row in the file."""
    found: dict[int, str] = {}
    first = 0
    for block in blocks(content, file_format, size=size):
        found |= {first + row: why for row, why in block.faults.items()}
        first += block.rows.count
    return found


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"3", r't: row 2 \(line 3\) has 1 cells, the header has 2; the separator is taken to be ","'),
        (b"1,2,3", r"t: row 2 \(line 3\) has 3 cells"),
        (b'1,"x"y', r"t: row 2 \(line 3\) is not readable as CSV: .* a quote inside a cell is written twice"),
        (b'1,"x', r"t: row 2 \(line 3\) is not readable as CSV"),
        (b"1,\xfc", r"t: row 2 \(line 3\) holds the byte 0xFC, which is not UTF-8"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_row_of_csv_that_is_not_readable_costs_no_other_row(content: bytes, wanted: str, size: int) -> None:
    """It stays in its place, with empty cells. The rows before and after it are read."""
    text = b"a,b\n1,p\n" + content + b"\n\n3,r\n4,s\n"
    [(row, why)] = faults(text, size=size).items()
    assert row == 1
    assert re.match(wanted, why)
    assert cells(text) == {"a": ["1", "", "3", "4"], "b": ["p", "", "r", "s"]}


def test_rows_of_several_lines_keep_their_lines_beside_a_faulty_one() -> None:
    """A row is named by its first line, also behind a row with a wrong quote and a row that is not UTF-8."""
    text = b'a,b\n1,"p\n\nq"\n2,"x"y\n\n3,"r\n\xfc"\n4\n'
    assert [re.sub(r"\).*", ")", why) for why in faults(text).values()] == [
        "t: row 2 (line 5)",
        "t: row 3 (line 7)",
        "t: row 4 (line 9)",
    ]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b'{"a":1}', r't: row 2 \(line 2\) lacks column "b"; it has "a" \(a missing value'),
        (b"[1,2]", r"t: row 2 \(line 2\) is a list, wanted cells by column name"),
        (b"a,b", r"t: row 2 \(line 2\) is not one JSON object on one line"),
        (b"[" * 100_000, r"t: row 2 \(line 2\) is not one JSON object on one line"),
        (b'{"a":"\xfc"}', r"t: row 2 \(line 2\) holds the byte 0xFC, which is not UTF-8"),
    ],
)
def test_a_row_of_json_that_is_not_readable_costs_no_other_row(content: bytes, wanted: str) -> None:
    """It stays in its place, with the cells that are known."""
    text = b'{"a":1,"b":2}\n' + content + b'\n{"a":3,"b":4}\n'
    [(row, why)] = faults(text, "jsonl").items()
    assert row == 1
    assert re.match(wanted, why)
    known = 1 if content == b'{"a":1}' else None
    assert cells(text, "jsonl") == {"a": [1, known, 3], "b": [2, None, 4]}


def test_a_misspelt_key_of_a_row_is_named_near_the_absent_column() -> None:
    """Only a key that no column wants counts: a wanted one is not misspelt, however much it looks like another."""
    [why] = faults(b'{"a":1,"b":2}\n{"a":1,"bb":2,"zz":3}\n', "jsonl").values()
    assert 'lacks column "b"; it has "a", "bb", "zz"; near: "bb" (a missing value' in why


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b'{"a":1}\n{"a":2,"c":3}\n', r't: row 1 \(line 1\) lacks column "b"'),
        (b"a,b\n1,2\n", r"t: row 1 \(line 1\) is not one JSON object on one line"),
        (b'{"a":1,\n"b":2}', r"t: row 1 \(line 1\) is not one JSON object on one line"),
        (b'7\n{"a":1}\n', r't: row 2 \(line 2\) lacks column "b"'),
    ],
)
def test_json_lines_without_a_column_at_all_are_refused(content: bytes, wanted: str) -> None:
    """A column that no row has is no fault of one row. JSON lines have no header that would show it."""
    with pytest.raises(InvalidInput, match=wanted):
        blocks(content, "jsonl")


LETTERS = st.characters(codec="utf-8", exclude_characters="\0")
NAMES = st.lists(st.text(LETTERS, min_size=1, max_size=5), min_size=2, max_size=4, unique=True)


@given(st.data())
def test_csv_is_read_as_training_reads_it(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A file of Python's csv writer, with any separator and names, gives client and training the same cells."""
    text = st.text(LETTERS, max_size=5)
    names = [name for name in data.draw(NAMES) if name.strip()] + ["plain"]
    rows = data.draw(st.lists(st.lists(text, min_size=len(names), max_size=len(names)), min_size=1, max_size=5))
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])))
    writer.writerows([names, *rows])
    content = stream.getvalue().encode()
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(content)
    wanted = {name: column.tolist() for name, column in read_table(path).cells.items()}
    assert cells(content, names=tuple(names)) == wanted


class Endless(io.RawIOBase):
    """A stream that repeats its lines for as long as it is read."""

    def __init__(self, head: bytes, line: bytes) -> None:
        self._lines: Iterator[bytes] = itertools.chain([head], itertools.repeat(line))

    def readline(self, _size: int | None = -1) -> bytes:
        """The next one."""
        return next(self._lines)


@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
def test_memory_does_not_grow_with_the_file(file_format: Format) -> None:
    """A file without end is read block by block."""
    line = b"1,word\n" if file_format == "csv" else json.dumps({"a": 1, "b": "word"}).encode() + b"\n"
    stream = Endless(b"a,b\n" if file_format == "csv" else line, line)
    read = read_blocks(stream, "t", file_format, ("a", "b"), 1000)
    next(read)
    tracemalloc.start()
    try:
        for _ in range(20):
            assert next(read).rows.count == 1000
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 3_000_000


def test_a_real_file_may_be_read(tmp_path: Path) -> None:
    """The stream may be a file on disk."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with path.open("rb") as stream:
        assert [block.rows.count for block in read_blocks(stream, "t", "csv", ("a", "b"), 10)] == [1]
