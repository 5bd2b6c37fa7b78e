"""The split that a recipe asks for: the key of each row, and the rows of each part."""

import numpy as np

from training.data.column import times, words
from training.data.split import Split, group_split, random_split, stratified_split, time_split
from training.data.table import Cells, Table
from training.recipe.config import Recipe


def split_key(recipe: Recipe, table: Table) -> Cells:
    """The split's key of each row: a time (NaN: missing), a group ("": missing), or 0 for a split without a column."""
    column = recipe.split.column
    if column is None:
        return np.zeros(table.rows)
    if recipe.split.kind == "time":
        return times(table, column)
    # Groups are stripped: otherwise "a" and "a " could be in different parts, and training rows of a group would leak
    # into the test.
    return np.array([word.strip() for word in words(table, column)], dtype=object)


def split_rows(recipe: Recipe, key: Cells, y: Cells, classes: tuple[str, ...]) -> Split:
    """The rows of each part.

    Args:
        recipe: Its [split].
        key: The result of :func:`split_key`, without missing keys.
        y: The target of each row.
        classes: The classes of the target; empty for a regression.
    """
    section = recipe.split
    match section.kind:
        case "random":
            return random_split(section, len(y))
        case "stratified":
            return stratified_split(section, y, classes)
        case "time":
            return time_split(section, key)
        case "group":
            return group_split(section, key)
