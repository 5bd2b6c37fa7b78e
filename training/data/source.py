"""Load a recipe's table: from a file, from scikit-learn, or computed from a formula."""

import math
from typing import Any

import numpy as np

from training.data.table import Table, read_table
from training.errors import RecipeError
from training.recipe.sections import DataSection


def load_source(data: DataSection) -> tuple[Table, tuple[str, ...], str | tuple[str, ...]]:
    """The table of a recipe.

    Returns:
        The table, the names of its input columns in order, and the name of its target column, or their names.

    Raises:
        DataError: the file cannot be read as a table.
    """
    if data.path is not None:
        return read_table(data.path, data.decimal), data.columns, data.target
    from sklearn import datasets  # Takes a second, and most tables are files.

    match data.source:
        case "sklearn:digits":
            bundle: Any = datasets.load_digits()
            table = _sklearn_table("sklearn:digits", bundle.data, bundle.feature_names, bundle.target)
        case "sklearn:diabetes":
            bundle = datasets.load_diabetes(scaled=False)
            table = _sklearn_table("sklearn:diabetes", bundle.data, bundle.feature_names, bundle.target)
        case "toy:exp(sin(pi*x)+y^2)":
            table = _toy(data.rows, data.seed)
        case _:
            raise RecipeError("[data]: neither path nor source is given")
    *inputs, target = table.cells
    return table, tuple(inputs), target


def _sklearn_table(source: str, inputs: Any, names: list[str], target: Any) -> Table:
    """One of scikit-learn's tables, in raw units, as a client sends them."""
    cells = {name: np.asarray(inputs[:, place], dtype=np.float64) for place, name in enumerate(names)}
    cells["target"] = np.asarray(target, dtype=np.float64)
    return Table(source, cells, len(inputs))


def _toy(rows: int, seed: int) -> Table:
    """exp(sin(pi x) + y^2), x and y uniform on [-1, 1]: Liu et al. 2024, arXiv:2404.19756, section 2.3."""
    points = np.random.default_rng(seed).uniform(-1.0, 1.0, size=(rows, 2))
    # Clients send float32, so the target is computed for the rounded point.
    x, y = points.astype(np.float32).astype(np.float64).T
    cells = {"x": x, "y": y, "f": np.exp(np.sin(math.pi * x) + y**2)}
    return Table("toy:exp(sin(pi*x)+y^2)", cells, rows)
