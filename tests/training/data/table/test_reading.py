"""Tables from users: all separators, all kinds of flaws."""

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest

from training.data.table import Table, read_table
from training.data.table.frame import table_of_frame
from training.errors import DataError


def read(folder: Path, content: str | bytes, name: str = "t.csv") -> Table:
    """The table of a file with this content."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(folder / name)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_are_recognised(tmp_path: Path, separator: str, end: str) -> None:
    """All separators and line ends give the same cells; a byte order mark is no part of a name."""
    rows = [["a", "b"], ["1", '"x,;|y"'], ["2", '"line\nbreak"']]
    table = read(tmp_path, "\ufeff" + end.join(separator.join(row) for row in rows))
    assert {name: cells.tolist() for name, cells in table.cells.items()} == {
        "a": ["1", "2"],
        "b": ["x,;|y", "line\nbreak"],
    }


def test_decimal_commas_do_not_hide_the_semicolon(tmp_path: Path) -> None:
    """A German table is cut at its semicolons."""
    table = read(tmp_path, "a;b\n1,5;2,5\n3,5;4,5\n")
    assert table.cells["b"].tolist() == ["2,5", "4,5"]


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_decimal_commas_are_read_as_pandas_reads_them(tmp_path: Path, end: str) -> None:
    """Both ways through text, that of pyarrow and that of the csv module; words keep their commas."""
    content = end.join(["a;b;c", '1,5;"x,y";1', "-2,25e3;1,5;", " ,5;z;3"])
    read(tmp_path, content)
    table = read_table(tmp_path / "t.csv", ",")
    wanted = pd.read_csv(io.StringIO(content.replace(end, "\n")), sep=";", decimal=",")
    for name in ("a", "c"):
        values, is_text = table.numbers(name)
        assert not is_text.any()
        np.testing.assert_array_equal(values, wanted[name])
    assert table.cells["b"].tolist() == wanted["b"].tolist()


def test_rows_are_placed_by_the_line_they_start_at(tmp_path: Path) -> None:
    """Blank lines and line breaks in cells count as lines, not as rows."""
    table = read(tmp_path, 'a,b\n1,"two\nlines"\n\n3,4\n')
    assert (table.rows, table.place(0), table.place(1)) == (2, "row 1 (line 2)", "row 2 (line 5)")


def test_columns_without_a_name_are_left_aside(tmp_path: Path) -> None:
    """The row numbers that pandas writes are no column of the table."""
    frame = pd.DataFrame({"a": [1, 2]})
    frame.to_csv(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv")
    assert (list(table.cells), table.unnamed_columns) == (["a"], 1)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "the file is empty"),
        ("\ufeff\n\n", "the file is empty"),
        ("a,b\n", "a header and no row"),
        (",\n1,2\n", "no column has a name"),
        ("a,b,a\n1,2,3\n", 'columns 1 and 3 are both called "a"'),
        ("a,b\n1,2\n1,2,3\n", "row 2 (line 3) has 3 cells, the header has 2"),
        ('a,b\n1,"2\n3,4\n', "line 2: not readable as CSV"),
        (b"a,b\n1,\xe9\n", "line 2 holds the byte 0xE9, which is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "the file is UTF-16"),
    ],
)
def test_a_flawed_file_is_named_with_its_flaw(tmp_path: Path, content: str | bytes, wanted: str) -> None:
    """One message says what is wrong with the file, and where.

    This table is the one place that pins these messages.
    """
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    assert wanted in str(caught.value)


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    """No file, another kind of file, a folder, and bytes that are no Parquet."""
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"ends in \.csv"):
        read(tmp_path, "a\n1\n", "t.xlsx")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="cannot read it"):
        read_table(tmp_path / "folder.csv")
    with pytest.raises(DataError, match="not readable as Parquet"):
        read(tmp_path, "a,b\n1,2\n", "t.parquet")


def test_parquet_keeps_numbers_and_writes_the_rest_as_words(tmp_path: Path) -> None:
    """Numbers are float64 with NaN; words, truth and dates are text with "" where nothing is; long keys stay exact."""
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "real": [0.5, np.nan, 1.5],
            "word": ["a", None, "b"],
            "truth": [True, False, True],
            "day": pd.to_datetime(["2020-01-01", "", "2020-01-03"]),
            "key": [2**60, 2**60 + 1, 2**60 + 2],
            "level": pd.Categorical(["low", "high", None]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    cells = read_table(tmp_path / "t.parquet").cells
    np.testing.assert_array_equal(cells["whole"], [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(cells["real"], [0.5, np.nan, 1.5])
    assert cells["word"].tolist() == ["a", "", "b"]
    assert cells["truth"].tolist() == ["True", "False", "True"]
    assert cells["day"].tolist() == ["2020-01-01T00:00:00", "", "2020-01-03T00:00:00"]
    assert cells["key"].tolist() == [str(2**60), str(2**60 + 1), str(2**60 + 2)]
    assert cells["level"].tolist() == ["low", "high", ""]


@pytest.mark.parametrize("cells", [[[1, 2], [3]], [{"a": 1}, None], [["b"], ["b"]]])
def test_a_column_of_lists_is_refused_only_where_it_is_used(tmp_path: Path, cells: list[object]) -> None:
    """Other columns of the file are read; the message names column, row and use."""
    pd.DataFrame({"a": [1.0, 2.0], "tags": cells}).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    table.require("a", "the target")
    with pytest.raises(
        DataError, match=r'column "tags": row 1 holds more than one value; wanted a number.* \(an input\)'
    ):
        table.require("tags", "an input")


def test_cells_of_one_value_are_no_lists() -> None:
    """Whatever the type of the value; bytes have a length and are one value too."""
    values = [pd.Interval(0, 1), pd.Period("2020"), Decimal("0.5"), b"ab", Path("ab"), pd.NA, np.float32(1)]
    words = pd.Series(["a"] * 7, dtype=pd.ArrowDtype(pyarrow.string()))
    frame = pd.DataFrame({"one": pd.Series(values, dtype=object), "words": words})
    assert table_of_frame(frame, "t").nested == {}
    several: list[object] = [(1, 2), {1}, np.ones(2), {}]
    for value in several:
        held = {"one": pd.Series([1, value], dtype=object)}
        assert table_of_frame(pd.DataFrame(held), "t").nested["one"].startswith("row 2 holds more than one value")
    lists: pd.Series[Any] = pd.Series([None, [1]], dtype=pd.ArrowDtype(pyarrow.list_(pyarrow.int64())))
    assert table_of_frame(pd.DataFrame({"one": lists}), "t").nested["one"].startswith("row 2 holds more than one value")


def test_an_index_with_a_name_is_a_column(tmp_path: Path) -> None:
    """A date that was made the index before writing is not lost."""
    frame = pd.DataFrame({"a": [1.0]}, index=pd.Index(["2020-01-01"], name="day"))
    frame.to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").cells) == ["day", "a"]


def test_an_unknown_column_is_answered_with_the_nearest(tmp_path: Path) -> None:
    """A misspelt name is corrected, a lost header is suspected."""
    with pytest.raises(DataError, match=r'"prise" .*nearest is "price"'):
        read(tmp_path, "price,area\n1,2\n").require("prise", "the target")
    with pytest.raises(DataError, match='the nearest is "PRICE"'):
        read(tmp_path, "PRICE,area\n1,2\n").require("price", "the target")
    with pytest.raises(DataError, match=r'the nearest are "pri[cd]e", "pri[cd]e"'):
        read(tmp_path, "price,pride,area\n1,2,3\n").require("prise", "the target")
    with pytest.raises(DataError, match="is the header missing"):
        read(tmp_path, "1.5,-2e3\n1,2\n").require("price", "the target")
