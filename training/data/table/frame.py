"""A DataFrame as a table: columns of numbers stay numbers, all others become text."""

import datetime
from collections.abc import Collection
from typing import Any, cast

import numpy as np
import pandas as pd

from training.data.table.cell_values import Cells
from training.data.table.header import refuse_twice
from training.data.table.table import Table

# From here on float64 makes different whole numbers equal.
LARGEST_EXACT = 2**53


def table_of_frame(frame: pd.DataFrame, source: str) -> Table:
    """The columns with a name, in their order; the index is no column.

    Args:
        frame: Any dtypes; names of columns are taken as text.
        source: What the table is called in messages.

    Raises:
        DataError: two columns have one name.
    """
    header = [str(name) for name in frame.columns]
    refuse_twice(source, header)
    columns = {name: frame.iloc[:, place] for place, name in enumerate(header) if name.strip()}
    cells = {name: _to_cells(column) for name, column in columns.items()}
    nested = {name: text for name, column in columns.items() if (text := _describe_nested(column))}
    return Table(source, cells, len(frame), None, len(header) - len(cells), nested=nested)


def _describe_nested(column: "pd.Series[Any]") -> str:
    """The first cell that holds a list or the like, whose text would be a word of its own; "" if none does."""
    if column.dtype != object and not isinstance(column.dtype, pd.ArrowDtype):
        return ""
    kinds = list(map(type, column))
    nested = {kind for kind in set(kinds) if issubclass(kind, Collection) and not issubclass(kind, str | bytes)}
    row = next((row for row, kind in enumerate(kinds, start=1) if kind in nested), None)
    return "" if row is None else f"row {row} holds more than one value; wanted a number, a word or a date in each cell"


def _to_cells(column: "pd.Series[Any]") -> Cells:
    """Numbers as float64; everything else as text, dates in ISO 8601."""
    types, present = pd.api.types, column.dropna()
    is_number = types.is_numeric_dtype(column) and not (types.is_bool_dtype(column) or types.is_complex_dtype(column))
    # float64 would make different whole numbers of this size equal; they are mostly keys, so they stay text.
    if is_number and not (types.is_integer_dtype(column) and not present.between(-LARGEST_EXACT, LARGEST_EXACT).all()):
        return cast(Cells, column.to_numpy(dtype=np.float64, na_value=np.nan))
    cells = np.full(len(column), "", dtype=object)
    cells[column.notna().to_numpy()] = [
        value.isoformat() if isinstance(value, datetime.date) else str(value) for value in present.tolist()
    ]
    return cells
