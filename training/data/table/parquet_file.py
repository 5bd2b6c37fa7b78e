"""Parquet files."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow

from training.data.table.frame import table_of_frame
from training.data.table.table import Table
from training.errors import DataError


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
    return replace(table_of_frame(frame, str(path)), source=path.name)
