"""A column as numbers, words and points in time."""

from dataclasses import replace

import numpy as np
import pytest

from training.data.column import class_words, numbers, times, words
from training.data.table import Table
from training.errors import DataError


def table(*cells: str) -> Table:
    """A table as read from CSV with one column, c."""
    return Table("t.csv", {"c": np.array(cells, dtype=object)}, len(cells), np.arange(2, len(cells) + 2))


def test_numbers_are_python_floats_and_missing_cells_nan() -> None:
    """Every spelling of a missing cell is NaN; every other cell is its float()."""
    got = numbers(table("1", " 2.5 ", "-1e-3", "", "NA", "nan", "?", "NULL", "None", "n/a", "-", " -- ", "."), "c")
    np.testing.assert_array_equal(got, [1.0, 2.5, -0.001] + [np.nan] * 10)


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("abc", 'row 2 (line 3) holds "abc", wanted a number'),
        ("1,5", 'decimals are written with a point, unless [data] has decimal = ","'),
        ("1,5E-05", 'decimals are written with a point, unless [data] has decimal = ","'),
        ("3.088,19", 'holds "3.088,19", wanted a number (a number with marks of thousands; take the marks out)'),
        ("1_000", 'holds "1_000", wanted a number'),
        ("inf", "holds inf, wanted a finite number"),
        ("1e39", "holds 1e+39, wanted a finite number of float32"),
    ],
)
def test_what_is_no_number_is_named_with_column_and_row(cell: str, wanted: str) -> None:
    """The first cell at fault is shown.

    This table is the one place that pins these messages.
    """
    with pytest.raises(DataError) as caught:
        numbers(table("1", cell), "c")
    assert wanted in str(caught.value)
    assert 't.csv: column "c"' in str(caught.value)


def test_a_point_is_no_number_where_decimals_have_commas() -> None:
    """1.234 may be meant as a thousand, so it is refused with the key that made it text."""
    with pytest.raises(DataError, match=r'row 2 .* holds "1.234", .* because \[data\] has decimal = ","'):
        numbers(replace(table("1,5", "1.234"), decimal=","), "c")


def test_words_stay_as_written_and_missing_ones_are_empty() -> None:
    """A word that looks like a missing cell is one, unless the recipe knows it as a word."""
    cells = table("Ja", "NA", " nan ", "", "None", "-")
    assert words(cells, "c").tolist() == ["Ja", "", "", "", "None", "-"]
    assert words(cells, "c", known=["NA"]).tolist() == ["Ja", "NA", "", "", "None", "-"]


def test_numbers_as_words_have_no_needless_point() -> None:
    """A whole number of a Parquet file is the word a person would write."""
    cells = Table("t.parquet", {"c": np.array([1.0, 2.5, np.nan, -3.0])}, 4)
    assert words(cells, "c").tolist() == ["1", "2.5", "", "-3"]


@pytest.mark.parametrize(
    "cells",
    [
        ("2020-01-31", "2020-02-01"),
        ("2020-01-31T10:00:00", "2020-02-01T09:00:00"),
        ("2020-01-31 10:00", "2020-01-31 10:01"),
        ("31.01.2020", "01.02.2020"),
        ("01/31/2020", "02/01/2020"),
        ("31/01/2020", "01/02/2020"),
        ("2020/01/31", "2020/02/01"),
        ("31 Jan 2020", "01 Feb 2020"),
        ("2020-01-31T10:00:00+02:00", "2020-01-31T10:00:00+01:00"),
        ("2262-01-01", "9999-12-31"),
        ("9", "10"),
    ],
)
def test_times_are_in_order(cells: tuple[str, str]) -> None:
    """The later cell is the greater number in every format; a missing one is NaN."""
    earlier, later, gone = times(table(*cells, ""), "c")
    assert earlier < later
    assert np.isnan(gone)


def test_dates_that_can_be_read_two_ways_are_refused() -> None:
    """Day or month first is not guessed, nor is text taken for a date."""
    with pytest.raises(DataError, match="day or month"):
        times(table("01/02/2020", "03/02/2020"), "c")
    with pytest.raises(DataError, match='holds "soon"'):
        times(table("soon", "later"), "c")
    with pytest.raises(DataError, match=r'line 3.*"31\.01\.2020"'):
        times(table("2020-01-31", "31.01.2020"), "c")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0", "1", "0.0", "1.0", " 1"], ["0", "1", "0", "1", "1"]),
        (["0", "1", "none", ""], ["0", "1", "", ""]),
        (["yes", " yes", "no ", "NA"], ["yes", "yes", "no", ""]),
        (["1.5", "2"], ["1.5", "2"]),
    ],
)
def test_class_labels_have_one_spelling(cells: list[str], expected: list[str]) -> None:
    """Equal numbers and words with spaces around them are one class; what is missing is none."""
    assert class_words(table(*cells), "c").tolist() == expected
