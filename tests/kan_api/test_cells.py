"""What a cell of a table is told to be."""

import pytest

from kan_api.cells import has_thousands


@pytest.mark.parametrize(
    "cell",
    ["3.088,19", "1,101.50", "-1,234,567", "1.234.567", " +12.345.678,9 ", "3'088", "3\u2019088.19", "3\u202f088,19"],
)
def test_marks_between_thousands_are_recognised(cell: str) -> None:
    """Two marks, or one mark twice; an apostrophe or a no-break space is never one before decimals."""
    assert has_thousands(cell)


@pytest.mark.parametrize(
    "cell",
    ["1.234", "1,234", "1234.5", "0,125", "3.14,15", "12.34.567", "1,23,456", "1234,567.8", "31.01.2020", "1.2,3.4"],
)
def test_numbers_in_doubt_and_other_texts_have_none(cell: str) -> None:
    """1.234 may be a little more than one; groups have exactly three digits; a date is no number."""
    assert not has_thousands(cell)
