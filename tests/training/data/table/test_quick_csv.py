"""The quick way through a text file against Python's csv module and float(), on random files."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from training.data.column import class_words, words
from training.data.table import Table, parse_numbers, quick_cells, quick_csv
from training.data.table.csv_file import read_csv
from training.data.table.quick_csv import read_quick_csv
from training.errors import DataError

# Cells on which readers differ, and some on which all agree.
CELLS = [
    *[
        "",
        " ",
        "1",
        "2.5",
        "-1e-3",
        "+1",
        " 1 ",
        "1 ",
        "\t1",
        "1_000",
        "1,5",
        "0x10",
        "1d5",
        ".5",
        "5.",
        ".",
        "-",
        "e5",
    ],
    *["nan", "NaN", "-nan", "nan(1)", "NA", " na ", "N/A", "null", "None", "?", "inf", "-Infinity", "1e400", "1e-400"],
    *["١", "１", "1e5", "1E+5", "1e", "00012", "-0", "0.1", "123456789012345678901234567890", "4.9e-324"],
    *["1.7976931348623159e308", "2.2250738585072011e-308", "9007199254740993", "word", "a word", "Köln", "\u2003"],
    *["\ufeff", "1\u00a0", "\x0b1", "\x1c", "\x85", "\u2028", "true", "2020-01-01", "#", "'", "\\", "\\N", "//"],
]
QUOTED = ['""', '"a"', '"a,b"', '"a;b|c"', '"1"', '" 1,5 "', '"NA"', "1", ""]
ODD = ['"', '"a""b"', 'a"b"', '"a" ', ' "a"', '""""', '"a', '"a,b"', '"two\nlines"', "\r", "\0", "\ud800"]
ENDS = ["\n", "\r\n", "\n\n", "\r\n\r\n", "\n \n"]


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A file that is mostly a table, and now and then not quite."""
    separator = draw(st.sampled_from(",;\t|"))
    width = draw(st.integers(1, 4))
    odd = draw(st.integers(0, 9)) == 0
    cell = st.sampled_from(CELLS + ODD if odd else CELLS) | st.floats().map(repr) | st.integers().map(str)
    kinds = [draw(st.sampled_from([CELLS[:4], ["1", "NA", "2.5"], QUOTED]) | st.none()) for _ in range(width)]
    rows = [[f"c{place}" for place in range(width)]] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 12))):
        row = [draw(cell if kind is None else st.sampled_from(kind)) for kind in kinds]
        rows.append(row[:-1] if draw(st.integers(0, 39)) == 0 else row)
    end = draw(st.sampled_from(ENDS[:2]))
    lines = [
        separator.join(row) + (draw(st.sampled_from(ENDS)) if draw(st.integers(0, 9)) == 0 else end) for row in rows
    ]
    text = draw(st.sampled_from(["", "", "\ufeff", "\n", "\ufeff\ufeff"])) + "".join(lines)
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    return text.encode(errors="surrogatepass")


def compare(folder: Path, content: bytes) -> bool:
    """Whether the quick way took the file; then table or error are those of the csv module."""
    path = folder / "t.csv"
    found: list[Table | str | None] = []
    for read in (read_quick_csv, read_csv):
        try:
            found.append(read(path, content))
        except DataError as error:
            found.append(str(error))
    quick, wanted = found
    if quick is None:
        return False
    if isinstance(quick, str) or not isinstance(wanted, Table):
        assert quick == wanted
        return True
    assert (quick.rows, quick.unnamed_columns, list(quick.cells)) == (
        wanted.rows,
        wanted.unnamed_columns,
        list(wanted.cells),
    )
    assert quick.lines is not None
    assert wanted.lines is not None
    np.testing.assert_array_equal(quick.lines, wanted.lines)
    for name, cells in wanted.cells.items():
        assert quick.cells[name].tolist() == cells.tolist()
        values, is_text = quick.numbers(name)
        wanted_values, wanted_text = parse_numbers(cells)
        # Bits: 0.0 is not -0.0. All NaNs are one.
        np.testing.assert_array_equal(values, wanted_values)
        np.testing.assert_array_equal(np.signbit(values[values == 0]), np.signbit(wanted_values[values == 0]))
        np.testing.assert_array_equal(is_text, wanted_text)
        assert words(quick, name).tolist() == words(wanted, name).tolist()
        assert class_words(quick, name).tolist() == class_words(wanted, name).tolist()
    return True


@given(texts())
@settings(max_examples=100, deadline=None)
def test_it_reads_what_the_csv_module_reads(content: bytes) -> None:
    """The same cells, lines, numbers, words and errors, or it leaves the file to the csv module."""
    with tempfile.TemporaryDirectory() as folder:
        event(f"quick: {compare(Path(folder), content)}")


@given(st.text(alphabet='1a,;\n\r\t |"\0\ufeff.e-', max_size=60))
@settings(max_examples=300, deadline=None)
def test_it_agrees_on_any_text(text: str) -> None:
    """Not only on what looks like a table."""
    with tempfile.TemporaryDirectory() as folder:
        event(f"quick: {compare(Path(folder), text.encode())}")


@pytest.mark.parametrize("block_bytes", [64, 1000])
def test_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    """Numbers first and a word in a later block; gaps, a blank line and characters of several bytes at the borders."""
    monkeypatch.setattr(quick_cells, "_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(quick_csv, "_BLOCK_BYTES", block_bytes)
    rows = [
        f"{row / 7},{'Köln' if row % 3 else ''},{row if row != 150 else 'late'},{'NA' if row % 5 else row}"
        for row in range(200)
    ]
    text = "a,b,c,d\n" + "\r\n".join(rows[:100]) + "\r\n\r\n" + "\n".join(rows[100:])
    assert compare(tmp_path, text.encode())
    assert compare(tmp_path, (text + "\n1,2,3\n").encode())


def test_a_table_of_one_row_a_line_is_read_the_quick_way(tmp_path: Path) -> None:
    """With byte order mark and line ends of Windows too; line breaks and quotes in a cell go the other way."""
    assert compare(tmp_path, "\ufeffa,b\r\n1,x\r\n,y\r\n".encode())
    assert compare(tmp_path, b'"a","b,c"\n1,"x, y"\n"2",""\n')
    assert not compare(tmp_path, b'a,b\n1,"x\ny"\n')
    assert not compare(tmp_path, b'a,b\n1,"x ""y"""\n')
