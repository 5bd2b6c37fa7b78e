"""What is written as TOML is read back the same."""

import tomllib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import RecipeError
from training.recipe.toml_text import toml_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = st.one_of(TEXTS, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
KEYS = TEXTS.filter(bool)
TABLES = st.dictionaries(KEYS, st.one_of(PLAIN, st.lists(PLAIN, max_size=3)), max_size=4)
SECTIONS = st.dictionaries(KEYS, st.one_of(PLAIN, TABLES, st.lists(TABLES, min_size=1, max_size=3)), max_size=4)


@given(st.dictionaries(st.sampled_from(["data", "task", "fit"]), SECTIONS))
def test_any_recipe_is_read_back(sections: dict[str, dict[str, Any]]) -> None:
    """Texts with quotes and control characters, nested tables, lists of tables."""
    assert tomllib.loads(toml_text(sections)) == sections


def test_numbers_of_numpy_are_numbers() -> None:
    """As a search over parameters gives them; tuples are lists."""
    given = {"fit": {"steps": np.int64(3), "rate": np.float64(0.1), "grids": (np.int64(3), 5), "hidden": np.arange(2)}}
    read = {"fit": {"steps": 3, "rate": 0.1, "grids": [3, 5], "hidden": [0, 1]}}
    assert tomllib.loads(toml_text(given)) == read


@pytest.mark.parametrize("value", [None, {1, 2}, print, [None], 1j])
def test_what_no_recipe_can_hold_is_named(value: Any) -> None:
    """With its section and key."""
    with pytest.raises(RecipeError, match=r"\[fit\] steps is .*; wanted a number"):
        toml_text({"fit": {"steps": value}})
