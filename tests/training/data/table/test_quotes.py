"""Separators inside quotes, and quotes that are not around whole cells."""

import numpy as np
import pytest

from training.data.table.quotes import count_hidden


def hidden(*lines: str) -> list[int] | None:
    """The separators inside quotes of each line."""
    data = np.frombuffer("\n".join(lines).encode(), dtype=np.uint8)
    ends = np.append(np.flatnonzero(data == ord("\n")), len(data))
    starts = np.append(0, ends[:-1] + 1)
    found = count_hidden(data, np.flatnonzero(data == ord(",")), starts, ends, ",")
    return None if found is None else found.tolist()


def test_separators_inside_quotes_are_counted_by_line() -> None:
    """Whole cells, at each place of a line; an empty cell in quotes hides none."""
    assert hidden('"a,b",c', 'd,"e,,f"', "g,h", '"",","', '","') == [1, 2, 0, 1, 1]


@pytest.mark.parametrize("line", ['"', 'a"b"', '"a"b', '"a""b"', '"a" ,b', ' "a",b', '"a,b', '""""'])
def test_other_quotes_are_not_for_the_quick_way(line: str) -> None:
    """Alone on the line, and with good lines around it."""
    assert hidden(line) is None
    assert hidden('"x,y",z', line, '"x"') is None
