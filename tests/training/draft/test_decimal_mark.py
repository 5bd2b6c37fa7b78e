"""The mark before the decimals of a table."""

import numpy as np
import pytest

from training.data.table import Table
from training.draft.decimal_mark import find_decimal


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ([["3,14", "2,5"]], ","),
        ([["1,234", "12,345"]], "."),
        ([["1,234", "1234,567"]], ","),
        ([["0,125", "0,250"]], ","),
        ([["3,14", "2,5"], ["2.5", "1"]], "."),
        ([["3,14", "2,5"], ["2", ""]], ","),
        ([["3,14", "a,b", "c"]], "."),
        ([["3.14", "2.5"]], "."),
        ([["a", "b"]], "."),
    ],
)
def test_a_comma_is_found_only_beyond_doubt(columns: list[list[str]], wanted: str) -> None:
    """A comma that may stand between thousands, beside points, or in words, leaves the point."""
    rows = max(map(len, columns))
    cells = {str(place): np.array(column, dtype=object) for place, column in enumerate(columns)}
    assert find_decimal(Table("t.csv", cells, rows, np.arange(rows))) == wanted


def test_numbers_of_parquet_have_no_mark() -> None:
    """A file whose numbers are numbers says nothing of its texts' decimals."""
    cells = {"number": np.array([0.5, 1.5]), "text": np.array(["3,14", "2,5"], dtype=object)}
    assert find_decimal(Table("t.parquet", cells, 2)) == ","
