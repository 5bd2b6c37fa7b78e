"""[network] monotone: what is read, and what it does not go with."""

from pathlib import Path

import pytest

from training.errors import RecipeError
from training.recipe.config import Recipe, parse_recipe
from training.recipe.toml_text import toml_text

TABLE = """
[model]
name = "prices"
[data]
path = "houses.csv"
target = "price"
columns = ["area", "age", "town", "sold", "street", "lift"]
by_target = ["street"]
[data.categories]
town = ["Ulm", "Bonn"]
lift = ["False", "True"]
[data.dates]
sold = "iso"
[task]
kind = "regression"
"""


def parse(keys: str) -> Recipe:
    """The recipe with these sections behind the others."""
    return parse_recipe(TABLE + keys, folder=Path(), name="r.toml")


def test_columns_have_directions() -> None:
    """In one line or as a table of its own; left out, nothing is promised."""
    wanted = {"area": "up", "age": "down"}
    assert parse('[network]\nmonotone = { area = "up", age = "down" }').network.monotone == wanted
    assert parse('[network.monotone]\narea = "up"\nage = "down"').network.monotone == wanted
    assert parse("").network.monotone == {}
    assert wanted == parse(toml_text({"network": {"hidden": [4], "monotone": wanted}})).network.monotone


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            '[network]\nmonotone = { rooms = "up" }',
            '"rooms", which is not in \\[data\\] columns; wanted some of "area", "age", ',
        ),
        ('[network]\nmonotone = { town = "up" }', '"town", a column of words'),
        ('[network]\nmonotone = { street = "up" }', '"street", a column of words'),
        ('[network]\nmonotone = { lift = "up" }', '"lift", a column of true and false.*wanted 1 and 0'),
        (
            '[network]\nadditive = true\nmonotone = { area = "up" }',
            "monotone: not with additive = true, whose curves may",
        ),
        ('[network]\nmonotone = { sold = "up" }', '"sold", a column of dates'),
        ('[network]\nmonotone = { area = "rising" }', 'monotone: "area" = \'rising\'; wanted "up" or "down"'),
        ("[network]\nmonotone = { area = 1 }", 'monotone: "area" = 1; wanted "up" or "down"'),
        ('[network]\nmonotone = "area"', "monotone: got 'area'; wanted a direction for each column"),
        ('[network]\noutside = "decay"\nmonotone = { area = "up" }', 'outside = "decay".*wanted "clamp"'),
        ('[network]\nhidden = [[2, 1]]\nmonotone = { area = "up" }', "not with nodes that multiply"),
        ('[symbolic]\n[network]\nmonotone = { area = "up" }', r"monotone: not with \[symbolic\]"),
        (
            '[network]\nmonotone = { area = "up" }\n[ensemble]\n[[search.candidates]]\nhidden = [[1, 1]]',
            "not with nodes that multiply",
        ),
    ],
)
def test_what_would_break_the_promise_is_refused(keys: str, message: str) -> None:
    """By the name of the key or column, before any row is read."""
    with pytest.raises(RecipeError, match=message):
        parse(keys)
