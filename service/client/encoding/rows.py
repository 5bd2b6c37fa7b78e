"""Rows as the float matrix that a model takes. Cells are read by the same rules as in training."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kan_api.cells import quoted
from kan_api.dates import ISO
from kan_api.v1.manifest_pb2 import Column, ModelManifest
from service.client.encoding.dates import encode_dates
from service.client.encoding.number_cells import FINITE_WANTED, numbers_of
from service.client.encoding.other_words import OtherWords
from service.client.encoding.table_rows import TableRows, cell_fault, show_cell
from service.client.encoding.words import numbers_of_words, word_of
from service.client.errors import InvalidInput, list_names, near_names

Matrix = NDArray[np.float32]


def matrix_of(rows: ArrayLike) -> Matrix:
    """The matrix for rows that are numbers, in the order of the model's features.

    Args:
        rows: [rows, features], or [features] for one row.

    Returns:
        float32 [rows, features].

    Raises:
        InvalidInput: when the rows are not numbers, are empty, have another shape, or hold an infinite number or one
            too large for float32.
    """
    try:
        array = np.asarray(rows)
    except ValueError:
        raise InvalidInput("the rows are not all of one length; wanted numbers [rows, features]") from None
    if array.dtype.kind not in "biuf":
        raise InvalidInput(
            f"wanted numbers [rows, features], got an array of {array.dtype}; give rows with words as dicts "
            'by column name (of a DataFrame: frame.to_dict("records"))'
        )
    if array.ndim not in (1, 2) or array.size == 0:
        image = "; an image is a row of its pixels: rows.reshape(len(rows), -1)" if array.ndim > 2 else ""
        raise InvalidInput(f"wanted numbers [rows, features], at least one row, got shape {list(array.shape)}{image}")
    table = np.atleast_2d(array)
    with np.errstate(over="ignore"):
        matrix = table.astype(np.float32)
    infinite = np.isinf(matrix)
    if infinite.any():
        row, feature = np.argwhere(infinite)[0]
        raise InvalidInput(f"rows[{row}] holds {table[row, feature]:g} as feature {feature}, {FINITE_WANTED}")
    return matrix


def rows_of(
    records: Sequence[object], names: Sequence[str], place: Callable[[int], str] = lambda row: f"rows[{row}]"
) -> TableRows:
    """The table of rows that are given as one mapping each.

    Args:
        records: for each row, its cells by column name.
        names: the columns to take. A cell may be None, but its key must be present.
        place: gives the position of row n in words, for messages.

    Raises:
        InvalidInput: when a record is no mapping or lacks a column.
    """
    mappings: list[Mapping[str, object]] = []
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise InvalidInput(f"{place(row)} is a {type(record).__name__}, wanted cells by column name")
        absent = [name for name in names if name not in record]
        if absent:
            lacking = f"{'column' if len(absent) == 1 else 'columns'} {list_names(absent)}"
            present = list_names([str(name) for name in record]) or "nothing"
            near = near_names(absent, [str(name) for name in record if name not in names])
            raise InvalidInput(
                f"{place(row)} lacks {lacking}; it has {present}{near} (a missing value is None, in JSON null)"
            )
        mappings.append(record)
    wanted = set(names)
    ignored = dict.fromkeys(str(name) for record in mappings for name in record if name not in wanted)
    columns = {name: [record[name] for record in mappings] for name in names}
    return TableRows(columns, len(mappings), place, tuple(ignored))


def features(manifest: ModelManifest, rows: TableRows, others: OtherWords | None = None) -> Matrix:
    """Encode a table as features: a word becomes a 1 in the feature of its category, or the numbers that it has.

    Args:
        manifest: has the columns of the table and the features of the model.
        rows: a table with at least the columns of the manifest.
        others: counts the words that the model takes as "other", once all rows are encoded.

    Returns:
        float32 [rows, features], in the order of the manifest's features. A missing number that the model imputes is
        NaN.

    Raises:
        InvalidInput: for the first cell that is not a number, is an unknown word, or is missing and not imputed.
    """
    places = {(feature.column, feature.category): place for place, feature in enumerate(manifest.features)}
    matrix = np.zeros((rows.count, len(manifest.features)), dtype=np.float32)
    found: list[tuple[str, list[object]]] = []
    for column in manifest.columns:
        if column.categories or column.HasField("statistics"):
            codes = _codes(column, rows)
            if column.categories:
                known = np.flatnonzero(codes >= 0)
                features_of_words = np.array([places[column.name, word] for word in column.categories])
                matrix[known, features_of_words[codes[known]]] = 1.0
            else:
                own = [place for place, feature in enumerate(manifest.features) if feature.column == column.name]
                matrix[:, own] = numbers_of_words(column.statistics)[codes]
            found.append((column.name, [rows.columns[column.name][row] for row in np.flatnonzero(codes < 0).tolist()]))
        elif column.HasField("date"):
            own = [place for place, feature in enumerate(manifest.features) if feature.column == column.name]
            matrix[:, own] = _dates(column, rows, manifest.features[own[0]].HasField("imputed"))
        else:
            place = places[column.name, ""]
            matrix[:, place] = _numbers(column.name, rows, manifest.features[place].HasField("imputed"))
    if others is not None:
        for name, cells in found:
            others.add(name, cells)
    return matrix


def _numbers(name: str, rows: TableRows, may_be_missing: bool) -> NDArray[np.float64]:
    values = numbers_of(name, rows)
    missing = np.isnan(values)
    if missing.any() and not may_be_missing:
        row = int(np.argmax(missing))
        what = f"holds no value ({show_cell(rows.columns[name][row])}), wanted a number"
        raise cell_fault(row, name, rows, f"{what}, because the model fills in no gaps of this column")
    return values


def _dates(column: Column, rows: TableRows, may_be_missing: bool) -> NDArray[np.float64]:
    values, strange = encode_dates(column.date, rows.columns[column.name])
    form = column.date.format
    wanted = "wanted a date such as 2024-01-31" if form == ISO else f"wanted a date of the format {quoted(form)}"
    if strange is not None:
        raise cell_fault(strange, column.name, rows, f"holds {show_cell(rows.columns[column.name][strange])}, {wanted}")
    missing = np.isnan(values[:, 0])
    if missing.any() and not may_be_missing:
        row = int(np.argmax(missing))
        raise cell_fault(
            row, column.name, rows, f"holds no value ({show_cell(rows.columns[column.name][row])}), {wanted}"
        )
    return values


def _codes(column: Column, rows: TableRows) -> NDArray[np.int64]:
    """For each row, the place of its word in the column's list; -1 for a word that is taken as "other"."""
    by_target = column.HasField("statistics")
    known = {word: place for place, word in enumerate(column.statistics.words if by_target else column.categories)}
    strange = -1 if by_target or column.unseen_is_other else None
    codes = []
    for row, cell in enumerate(rows.columns[column.name]):
        code = known.get(cell) if isinstance(cell, str) else None
        if code is None:
            word = word_of(cell, known)
            code = None if word is None else known.get(word, strange)
        if code is None:
            wanted = "wanted a word" if by_target else f"wanted one of {list_names(list(column.categories))}"
            what = f"holds no word ({show_cell(cell)})" if word == "" else f"holds {show_cell(cell)}"
            raise cell_fault(row, column.name, rows, f"{what}, {wanted}")
        codes.append(code)
    return np.array(codes, dtype=np.int64)
