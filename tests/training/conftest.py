"""Tables and recipes that train in a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.recipe.config import Recipe, parse_recipe

RECIPE = """
[model]
name = "{name}"
[data]
path = "{path}"
target = "{target}"
columns = {columns}
missing = "{missing}"
[data.categories]
{categories}
[task]
kind = "{kind}"
[network]
hidden = [3]
[fit]
grids = {grids}
steps = {steps}
[lowering]
tune_for = {tune_for}
"""


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Write a small real table and a recipe for it; options change the recipe's keys."""

    def write(name: str = "flowers", **options: object) -> Path:
        random = np.random.default_rng(0)
        length, color = random.uniform(1, 9, 200), random.choice(["red", "blue"], 200)
        table = pd.DataFrame({"length": length, "fixed": 4.0, "color": color, "width": random.normal(20, 5, 200)})
        table["weight"] = np.sin(length) * 10 + (color == "red") * 5 + table["width"]
        table["kind"] = np.where(table["weight"] > 25, "big", "small")
        table.loc[::10, "width"] = np.nan
        table.to_csv(tmp_path / "flowers.csv", index=False)
        keys = {
            "name": name,
            "path": "flowers.csv",
            "target": "weight",
            "columns": '["length", "fixed", "color", "width"]',
            "missing": "median",
            "categories": 'color = ["red", "blue"]',
            "kind": "regression",
            "steps": 5,
            "grids": "[3]",
            "tune_for": "[]",
        }
        path = tmp_path / f"{name}.toml"
        path.write_text(RECIPE.format(**(keys | options)))
        return path

    return write


@pytest.fixture
def wave(tmp_path: Path) -> Callable[[str], Recipe]:
    """3·sin(a) + b + 7 in raw units, with a column that says nothing, and a recipe with further sections for it."""
    random = np.random.default_rng(1)
    a, b, idle = random.uniform(-1, 4, 400), random.uniform(100, 110, 400), random.normal(0, 1, 400)
    table = pd.DataFrame({"a": a, "b": b, "idle": idle, "y": 3 * np.sin(a) + b + 7})
    table["kind"] = np.where(3 * np.sin(a) + b > 106, "high", "low")
    table.to_csv(tmp_path / "wave.csv", index=False)

    def recipe(sections: str) -> Recipe:
        text = (
            '[model]\nname = "wave"\n[data]\npath = "wave.csv"\ntarget = "y"\ncolumns = ["a", "b", "idle"]\n'
            '[task]\nkind = "regression"\n[network]\nhidden = []\ndtype = "float64"\n'
            '[fit]\noptimizer = "lbfgs"\ngrids = [8]\nsteps = 40\n[lowering]\ntune_for = []\n'
        )
        return parse_recipe(text + sections, folder=tmp_path, name="wave.toml")

    return recipe
