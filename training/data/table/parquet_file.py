"""Parquet files: columns of numbers stay numbers, all others become text."""

import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow

from training.data.table.cell_values import Cells
from training.data.table.header import refuse_twice
from training.data.table.table import Table
from training.errors import DataError

_EXACT = 2**53


def read_parquet(path: Path) -> Table:
    """Read a file.

    Raises:
        DataError: it is no Parquet, or two columns have one name.
    """
    try:
        frame = pd.read_parquet(path)
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(f"{path}: not readable as Parquet: {str(error).splitlines()[0]}") from None
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    header = [str(name) for name in frame.columns]
    refuse_twice(path, header)
    cells = {name: _to_cells(frame.iloc[:, place]) for place, name in enumerate(header) if name.strip()}
    return Table(path.name, cells, len(frame), None, len(header) - len(cells))


def _to_cells(column: "pd.Series[Any]") -> Cells:
    """Numbers as float64; everything else as text, dates in ISO 8601."""
    types, present = pd.api.types, column.dropna()
    is_number = types.is_numeric_dtype(column) and not (types.is_bool_dtype(column) or types.is_complex_dtype(column))
    # float64 would make different whole numbers of this size equal; they are mostly keys, so they stay text.
    if is_number and not (types.is_integer_dtype(column) and not present.between(-_EXACT, _EXACT).all()):
        return cast(Cells, column.to_numpy(dtype=np.float64, na_value=np.nan))
    cells = np.full(len(column), "", dtype=object)
    cells[column.notna().to_numpy()] = [
        value.isoformat() if isinstance(value, datetime.date) else str(value) for value in present.tolist()
    ]
    return cells
