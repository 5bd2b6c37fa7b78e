"""Tables and recipes that train in a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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
