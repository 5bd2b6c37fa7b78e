"""Blocks of cells as numbers, against float()."""

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.table.cell_values import parse_number
from training.data.table.number_blocks import parse_block

NUMBERS = st.from_regex(r"[-+]?[0-9]{0,25}\.?[0-9]{0,25}([eE][-+]?[0-9]{1,3})?", fullmatch=True)
CELLS = (
    NUMBERS | st.floats().map(repr) | st.sampled_from(["", "NA", " 1", "1_0", "٣", "inf", "nan(1)", "0x1p3", "None"])
)


@given(st.lists(CELLS, max_size=20))
@settings(max_examples=200, deadline=None)
def test_numbers_are_those_of_python(cells: list[str]) -> None:
    """To the bit, whatever stands beside them; one cell of text makes the block text."""
    wanted = [parse_number(cell) for cell in cells]
    found = parse_block(pyarrow.array(cells, pyarrow.string()))
    if None in wanted:
        assert found is None
        return
    assert found is not None
    numbers = np.array(wanted, dtype=np.float64)
    np.testing.assert_array_equal(found, numbers)
    np.testing.assert_array_equal(np.signbit(found[found == 0]), np.signbit(numbers[numbers == 0]))


@given(st.lists(CELLS | CELLS.map(lambda cell: cell.replace(".", ",")), max_size=20))
@settings(max_examples=200, deadline=None)
def test_numbers_with_decimal_commas_are_those_with_points(cells: list[str]) -> None:
    """To the bit; a cell with a point, or with two commas, is text. A point alone stays the mark of a missing cell."""
    swapped = [cell if cell in (".", ",") else cell.translate(str.maketrans(",.", ".,")) for cell in cells]
    wanted = [parse_number(cell) for cell in swapped]
    found = parse_block(pyarrow.array(cells, pyarrow.string()), ",")
    if None in wanted:
        assert found is None
    else:
        np.testing.assert_array_equal(found, np.array(wanted, dtype=np.float64))


@pytest.mark.parametrize("start", [0, 1, 9])
def test_a_part_of_an_array_is_read_from_its_start(start: int) -> None:
    """The buffers of a part are those of the whole array."""
    cells = ["1", "", "3", "NA", "", "6", "7", "8", "", "10", "", "12"]
    part = pyarrow.array(cells, pyarrow.string())[start:]
    np.testing.assert_array_equal(parse_block(part), [parse_number(cell) for cell in cells[start:]])
