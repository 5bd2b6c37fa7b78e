"""The first key in which two recipes differ is named with both values."""

from typing import Any

import pytest

from training.recipe.difference import first_difference


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"fit": {"steps": 20, "seed": 1}}, {"fit": {"steps": 30, "seed": 2}}, "[fit] steps was 20, is 30"),
        ({"fit": {"steps": 20}}, {"fit": {"steps": 20, "seed": 1}}, "[fit] seed was left out, is 1"),
        ({"fit": {"batch_rows": 8}}, {"fit": {"batch_rows": None}}, "[fit] batch_rows was 8, is left out"),
        ({"fit": {"grids": [3, 5]}}, {"fit": {"grids": [3]}}, "[fit] grids was [3, 5], is [3]"),
        ({}, {"adapt": {"margin": 0.1}}, '[adapt] was left out, is {"margin": 0.1}'),
        (
            {"data": {"dates": {"a b": "iso"}}},
            {"data": {"dates": {"a b": "%Y"}}},
            '[data] dates a b was "iso", is "%Y"',
        ),
        (
            {"search": {"candidates": [{"steps": 1}, {"steps": 2}]}},
            {"search": {"candidates": [{"steps": 1}, {"steps": 3}]}},
            "[search] candidates, entry 2: steps was 2, is 3",
        ),
        (
            {"search": {"candidates": [{"steps": 1}, {"steps": 2}]}},
            {"search": {"candidates": [{"steps": 1}]}},
            '[search] candidates, entry 2 was {"steps": 2}, is left out',
        ),
        ({"fit": {"seed": None}}, {"fit": {}}, ""),
        ({"fit": {"seed": 0}}, {"fit": {"seed": 0}}, ""),
    ],
)
def test_the_first_key_that_differs_is_named(before: dict[str, Any], after: dict[str, Any], said: str) -> None:
    """Sections in their order, keys in theirs; null is left out."""
    assert first_difference(before, after) == said


def test_long_values_are_cut() -> None:
    """A list of a thousand words does not fill the terminal."""
    words = [f"word {place}" for place in range(1000)]
    said = first_difference({"data": {"columns": words}}, {"data": {"columns": words[1:]}})
    assert len(said) < 160
