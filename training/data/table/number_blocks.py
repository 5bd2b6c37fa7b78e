"""Blocks of text cells as numbers, by pyarrow where it provably agrees with :func:`parse_number`.

A finite number that pyarrow reads is the one that float() reads: its grammar (an optional minus, digits with at most
one point, an optional exponent) is a part of Python's, and both round correctly. Whatever pyarrow refuses or reads as
not finite goes to parse_number: "+1", "1_000", "NA", "inf", "0x10", digits of other scripts, numbers beyond float64.
"""

from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as compute

from training.data.table.cell_values import Decimal, Values, parse_number

# Exponents of more digits go to parse_number, as do all cells that do not look like this.
_PLAIN = r"^-?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"


def parse_block(cells: Any, decimal: Decimal = ".") -> Values | None:
    """Numbers of a block of cells, NaN where a cell is missing.

    Args:
        cells: A pyarrow string array without nulls.
        decimal: The mark before the decimals.

    Returns:
        float64 [cells]; None if a cell is text.
    """
    cells = _hide_empty(cells)
    pointed = cells if decimal == "." else _with_points(cells)
    try:
        numbers = compute.cast(pointed, pyarrow.float64())
    except pyarrow.ArrowInvalid:
        # float() too ignores spaces around a number.
        pointed = compute.ascii_trim(pointed, characters=" \t")
        plain = compute.if_else(compute.match_substring_regex(pointed, _PLAIN), pointed, None)
        try:
            numbers = compute.cast(plain, pyarrow.float64())
        except pyarrow.ArrowInvalid:
            numbers = pyarrow.nulls(len(cells), pyarrow.float64())
    values = numbers.to_numpy(zero_copy_only=False).copy()
    return values if _parse_others(cells, values, decimal) else None


def _hide_empty(cells: Any) -> Any:
    """The same array with nulls for its empty cells; nothing is copied."""
    _, offsets, data = cells.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32, count=len(cells) + 1, offset=4 * cells.offset)
    filled = np.diff(ends) > 0
    if filled.all():
        return cells
    valid = pyarrow.py_buffer(np.packbits(filled, bitorder="little"))
    offsets = pyarrow.py_buffer(ends)
    return pyarrow.StringArray.from_buffers(len(cells), offsets, data, valid)


def _with_points(cells: Any) -> Any:
    """Decimal commas as points; null where a point was there before, which is no number then."""
    has_point = compute.match_substring(cells, ".")
    return compute.if_else(has_point, None, compute.replace_substring(cells, ",", "."))


def _parse_others(cells: Any, values: Values, decimal: Decimal) -> bool:
    """Fill in the cells that pyarrow did not read as finite numbers; False if one of them is text."""
    rows = np.flatnonzero(~np.isfinite(values))
    if len(rows) == 0:
        return True
    texts = cells.take(pyarrow.array(rows)).dictionary_encode()
    found = [np.nan if text is None else parse_number(text, decimal) for text in texts.dictionary.to_pylist()]
    if None in found:
        return False
    codes = texts.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
    values[rows] = np.array([*found, np.nan], dtype=np.float64)[codes]
    return True
