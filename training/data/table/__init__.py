"""The user's own table, read from CSV or Parquet without guesses: cells stay text unless the file gives a type.

`reading` chooses the way: `parquet_file`; `quick_csv` for text whose lines split at each separator; `csv_file` for all
other text. Both ways through text give the same table and the same errors. Example: a file of the lines "a,b", "1,x"
and ",y" has two rows; the column a is the numbers 1 and NaN, and b the texts x and y.
"""

from training.data.table.cell_values import Cells, Decimal, Texts, parse_numbers, texts_of
from training.data.table.reading import PARQUET_SUFFIXES, TEXT_SUFFIXES, read_table
from training.data.table.table import Table

__all__ = [
    "PARQUET_SUFFIXES",
    "TEXT_SUFFIXES",
    "Cells",
    "Decimal",
    "Table",
    "Texts",
    "parse_numbers",
    "read_table",
    "texts_of",
]
