"""Cells of a column of numbers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.client.encoding.number_cells import numbers_of
from service.client.encoding.table_rows import TableRows
from service.client.errors import InvalidInput
from training.data.column import numbers
from training.data.table import Table
from training.errors import DataError


def column_rows(cells: Sequence[object]) -> TableRows:
    """One column, c."""
    return TableRows({"c": cells}, len(cells), lambda row: f"rows[{row}]")


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("abc", r'holds "abc", wanted a number'),
        ("1,5", r'holds "1,5", wanted a number \(decimals are written with a point; .* --decimal ","\)'),
        ("1,5E-05", r'holds "1,5E-05", wanted a number \(decimals are written with a point; .* --decimal ","\)'),
        ("3.088,19", r'holds "3.088,19", wanted a number \(a number with marks of thousands; take the marks out\)'),
        ("1_000", r'holds "1_000", wanted a number'),
        ("inf", r'holds "inf", wanted a finite number'),
        (1e39, r"holds 1e\+39, wanted a finite number of float32"),
        (10**400, r"holds 10{59}, wanted a finite number"),
        (True, r"holds True, wanted a number"),
        ([1], r"holds \[1\], wanted a number"),
        ("x" * 1000, r'holds "x{59}…", wanted a number'),
    ],
)
def test_what_is_no_number_is_named_with_row_and_column(cell: object, wanted: str) -> None:
    """The message has the place, the text and what was wanted.

    This table is the one place that pins these messages.
    """
    with pytest.raises(InvalidInput, match=r'rows\[1\]: column "c" ' + wanted):
        numbers_of("c", column_rows(["1", cell]))


@given(
    st.lists(st.from_regex(r"[-+ ]?[0-9]{0,3}[.,]?[0-9]{0,3}([eE][-+]?[0-9])?", fullmatch=True), min_size=1, max_size=5)
)
@settings(max_examples=200, deadline=None)
def test_decimal_commas_are_read_as_in_training(cells: list[str]) -> None:
    """The same numbers, and the same cells are refused: a point is text, because 1.234 may mean a thousand."""
    rows = replace(column_rows(cells), decimal=",")
    table = Table("t.csv", {"c": np.array(cells, dtype=object)}, len(cells), decimal=",")
    try:
        wanted = numbers(table, "c")
    except DataError:
        with pytest.raises(InvalidInput, match="wanted a number"):
            numbers_of("c", rows)
    else:
        np.testing.assert_array_equal(numbers_of("c", rows), wanted)


def test_a_point_among_decimal_commas_is_named_with_the_option() -> None:
    """The caller gave --decimal, so the message names it."""
    with pytest.raises(InvalidInput, match=r'rows\[1\]: column "c" holds "2.5", .* because of --decimal ","'):
        numbers_of("c", replace(column_rows(["1,5", "2.5"]), decimal=","))
