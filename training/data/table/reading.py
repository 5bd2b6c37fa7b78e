"""Read a file as a table."""

from dataclasses import replace
from pathlib import Path

from training.data.table.cell_values import Decimal
from training.data.table.csv_file import read_csv
from training.data.table.parquet_file import read_parquet
from training.data.table.quick_csv import read_quick_csv
from training.data.table.table import Table
from training.errors import DataError, kind_of

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")


def read_table(path: Path, decimal: Decimal = ".") -> Table:
    """Read a CSV or Parquet file.

    Args:
        path: A .csv, .tsv, .txt, .parquet or .pq file. Text is UTF-8 with a header in the first line and a comma,
            semicolon, tab or | between cells.
        decimal: The mark before the decimals of numbers that are text.

    Raises:
        DataError: the file is missing, empty, of another kind or not UTF-8; it has no rows, two columns of one name,
            or a row with more or fewer cells than the header.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    if suffix not in TEXT_SUFFIXES + PARQUET_SUFFIXES:
        raise DataError(f"{path}: wanted a file that ends in {', '.join(TEXT_SUFFIXES + PARQUET_SUFFIXES)}")
    try:
        table = read_parquet(path) if suffix in PARQUET_SUFFIXES else _read_text(path, decimal)
    except OSError as error:
        raise kind_of(error, DataError)(f"{path}: cannot read it: {error.strerror or error}") from None
    if table.rows == 0:
        raise DataError(f"{path}: there is a header and no row below it")
    if not table.cells:
        raise DataError(f"{path}: no column has a name; wanted a header in the first line")
    return replace(table, decimal=decimal)


def _read_text(path: Path, decimal: Decimal) -> Table:
    content = path.read_bytes()
    table = read_quick_csv(path, content, decimal)
    return read_csv(path, content) if table is None else table
