"""Columns as their different texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.table.cell_values import Texts, parse_numbers, parse_texts, spell_number, texts_of


@given(st.lists(st.sampled_from(["1", "", "NA", "x", "1.50", " 2", "1_0"])))
def test_texts_are_the_cells(cells: list[str]) -> None:
    """Each text is there once; the cells and their numbers are those of the column."""
    column = np.array(cells, dtype=object)
    texts = texts_of(column)
    assert texts.cells().tolist() == cells
    assert len(set(texts.distinct.tolist())) == len(texts.distinct)
    for found, wanted in zip(parse_texts(texts), parse_numbers(column), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_numbers_are_spelled_as_a_person_would() -> None:
    """Whole numbers without a point; NaN and zeros of both signs have one spelling each."""
    texts = texts_of(np.array([2.0, np.nan, 0.5, -0.0, 0.0, np.nan]))
    assert texts.cells().tolist() == ["2", "", "0.5", "0", "0", ""]
    assert spell_number(1e22) == "10000000000000000000000"


def test_a_text_may_be_there_twice() -> None:
    """As after two spellings of a missing cell became one."""
    assert Texts(np.array(["", "a", ""], dtype=object), np.array([0, 2, 1])).cells().tolist() == ["", "", "a"]


@pytest.mark.parametrize("cells", [np.array([], dtype=object), np.array([], dtype=np.float64)])
def test_no_rows_are_no_texts(cells: np.ndarray) -> None:
    """Of either kind of column."""
    assert len(texts_of(cells).cells()) == 0
