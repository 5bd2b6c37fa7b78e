"""Cells in quotes that hold no quote and no line break: there too the csv module cuts at known places."""

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def count_hidden(
    data: NDArray[np.uint8], separators: Places, starts: Places, ends: Places, separator: str
) -> Places | None:
    """The number of separators inside quotes, which end no cell, of each line.

    Args:
        data: The bytes of the file.
        separators: The places of all separators in these lines, ascending.
        starts: The place of each line's first byte, ascending.
        ends: The place after each line's last byte, before the line break.
        separator: One byte.

    Returns:
        int64 [lines]; None unless each pair of quotes surrounds a whole cell of one line.
    """
    quotes = np.flatnonzero(data[starts[0] : ends[-1]] == ord('"')) + starts[0]
    opening, closing = quotes[0::2], quotes[1::2]
    lines = np.searchsorted(starts, opening, side="right") - 1
    if len(opening) != len(closing) or (closing >= ends[lines]).any():
        return None
    begins_cell = (opening == starts[lines]) | (data[opening - 1] == ord(separator))
    ends_cell = (closing + 1 == ends[lines]) | (data[np.minimum(closing + 1, len(data) - 1)] == ord(separator))
    if not (begins_cell.all() and ends_cell.all()):
        return None
    inside = np.searchsorted(separators, closing) - np.searchsorted(separators, opening)
    return np.bincount(lines, weights=inside, minlength=len(starts)).astype(np.int64)
