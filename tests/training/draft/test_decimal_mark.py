"""The mark before the decimals of a table."""

import numpy as np
import pytest

from training.data.table import Table
from training.draft.decimal_mark import find_decimal
from training.errors import DataError


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ([["3,14", "2,5"]], ","),
        ([["1,5E-05", "2,5e+3", "1E5"]], ","),
        ([["1.5E-05", "2"], ["1,5", "2,25"]], "."),
        ([["1,234", "12,345"]], "."),
        ([["1,234", "1234,567"]], ","),
        ([["0,125", "0,250"]], ","),
        ([["3,14", "2,5"], ["2.5", "1"]], "."),
        ([["3,14", "2,5"], ["2", ""]], ","),
        ([["3,14", "a,b", "c"]], "."),
        ([["3.14", "2.5"]], "."),
        ([["a", "b"]], "."),
        ([["0", "0,5", "1", "1,5", "2"]], ","),
        ([["1", "2", "3", "4", "5", "6", "NA", "", "2,5"]], ","),
        ([["1", "2", "3", "2,5", "a", "b"]], "."),
        ([["0.5", "1.5", "2.5", "3,5"]], "."),
        ([["1", "2", "1,234,567"]], "."),
        ([["10,20", "1"], ["12,500", "7"], ["0.5", "2"]], "."),
        ([["10,20", "1"], ["1,2,3", "4,5,6"]], ","),
    ],
)
def test_a_comma_is_found_only_beyond_doubt(columns: list[list[str]], wanted: str) -> None:
    """A comma that may stand between thousands, beside points, or in words, leaves the point."""
    rows = max(map(len, columns))
    cells = {str(place): np.array(column, dtype=object) for place, column in enumerate(columns)}
    assert find_decimal(Table("t.csv", cells, rows, np.arange(rows))) == wanted


@pytest.mark.parametrize(
    ("prices", "cell"),
    [
        (["12,500", "7"], "12,500"),
        (["1,234", "1,234,567"], "1,234,567"),
        (["12,5", "1,234,567"], "1,234,567"),
        (["-999,000", "100,000"], "-999,000"),
    ],
)
def test_commas_between_thousands_beside_decimal_commas_are_for_a_person_to_judge(prices: list[str], cell: str) -> None:
    """Nothing is chosen, since a factor of a thousand hangs on it; the error tells both columns and the option.

    The cell of the column with decimal commas is one that shows them.
    """
    cells = {"price": np.array(prices, dtype=object), "size": np.array(["1,292", "10,20"], dtype=object)}
    wanted = f'column "size", as in "10,20", has decimal commas, .* column "price", as in "{cell}", .* --decimal ","'
    with pytest.raises(DataError, match=wanted):
        find_decimal(Table("t.csv", cells, 2, np.arange(2)))


def test_the_cells_of_a_long_column_are_those_that_are_no_whole_numbers() -> None:
    """2,000 whole numbers before the first comma do not hide it."""
    cells = {"price": np.array([*map(str, range(2000)), "2,5"], dtype=object)}
    assert find_decimal(Table("t.csv", cells, 2001, np.arange(2001))) == ","


def test_numbers_of_parquet_have_no_mark() -> None:
    """A file whose numbers are numbers says nothing of its texts' decimals."""
    cells = {"number": np.array([0.5, 1.5]), "text": np.array(["3,14", "2,5"], dtype=object)}
    assert find_decimal(Table("t.parquet", cells, 2)) == ","
