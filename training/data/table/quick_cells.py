"""The cells of a text file that is cut quickly: numbers as float64, text as different texts and codes.

Python's csv module makes one object a cell, so a million rows of 20 columns need more than a GiB. Here a column of
numbers takes 8 bytes a row, and its spelling is cut from the file's bytes again when it is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow
import pyarrow.csv

from training.data.table.cell_values import Cells, Decimal, Flags, Texts, Values, parse_texts
from training.data.table.number_blocks import parse_block

_BLOCK_BYTES = 2**22


class QuickCells(Mapping[str, Cells]):
    """The text cells of each column, str ``[rows]`` (dtype object), made when they are asked for.

    Args:
        body: The lines below the header.
        separator: One byte.
        header: The names of all columns; a column without a name is left out.
        rows: Number of lines that are not blank.
        decimal: The mark before the decimals of numbers.

    Raises:
        ValueError: the body has not as many lines.
    """

    def __init__(self, body: Any, separator: str, header: Sequence[str], rows: int, decimal: Decimal = ".") -> None:
        self._body, self._separator, self._rows, self._decimal = body, separator, rows, decimal
        self._places = {name: str(place) for place, name in enumerate(header) if name.strip()}
        self._width = len(header)
        self._numbers, texts = self._parse()
        # Different texts stay in pyarrow, which holds them as bytes.
        self._texts = texts | self._cut([name for name in self._places if name not in self._numbers | texts])

    def __getitem__(self, column: str) -> Cells:
        return self.texts(column).cells()

    def __contains__(self, column: object) -> bool:
        # The one of Mapping would make the cells.
        return column in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def numbers(self, column: str) -> tuple[Values, Flags]:
        """As :func:`training.data.table.cell_values.parse_numbers` of the cells; not to be written to."""
        if column in self._numbers:
            return self._numbers[column], np.zeros(self._rows, dtype=bool)
        return parse_texts(self.texts(column), self._decimal)

    def texts(self, column: str) -> Texts:
        """The cells as different texts and their codes."""
        found = self._texts[column] if column in self._texts else self._cut([column])[column]
        return Texts(found.dictionary.to_numpy(zero_copy_only=False), found.indices.to_numpy())

    def _parse(self) -> tuple[dict[str, Values], dict[str, Any]]:
        """The columns without text as numbers; those with text in the first block as different texts."""
        numbers = {name: np.empty(self._rows) for name in self._places}
        blocks: dict[str, list[Any]] = {}
        done = 0
        for batch in self._batches(list(self._places)):
            end = done + batch.num_rows
            if end > self._rows:
                break
            for name, cells in zip(self._places, batch.columns, strict=True):
                if name in blocks:
                    blocks[name].append(cells.dictionary_encode())
                elif name in numbers:
                    values = parse_block(cells, self._decimal)
                    if values is not None:
                        numbers[name][done:end] = values
                        continue
                    del numbers[name]
                    if done == 0:
                        blocks[name] = [cells.dictionary_encode()]
            done = end
        if done != self._rows:
            raise ValueError(f"{done} rows in the body, wanted {self._rows}")
        for values in numbers.values():
            values.flags.writeable = False
        return numbers, {name: _join(parts) for name, parts in blocks.items()}

    def _cut(self, columns: list[str]) -> dict[str, Any]:
        """These columns as pyarrow's dictionary arrays."""
        if not columns:
            return {}
        blocks: dict[str, list[Any]] = {name: [] for name in columns}
        for batch in self._batches(columns):
            for name, cells in zip(columns, batch.columns, strict=True):
                blocks[name].append(cells.dictionary_encode())
        return {name: _join(parts) for name, parts in blocks.items()}

    def _batches(self, columns: list[str]) -> Any:
        places = [self._places[name] for name in columns]
        return pyarrow.csv.open_csv(
            pyarrow.BufferReader(self._body),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, column_names=[str(place) for place in range(self._width)]
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._separator, quote_char='"', double_quote=False, escape_char=False
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(places, pyarrow.string()),
                include_columns=places,
                strings_can_be_null=False,
            ),
        )


def _join(parts: list[Any]) -> Any:
    """Dictionary arrays as one, with one dictionary in the order of first rows."""
    return pyarrow.chunked_array(parts).unify_dictionaries().combine_chunks()
