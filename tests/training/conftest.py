"""Tables and recipes that train in a second, and a version that was trained once for many tests."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe, load_recipe, parse_recipe

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
    return lambda name="flowers", **options: _write_recipe(tmp_path, name, **options)


@pytest.fixture
def flowers(trained_flowers: tuple[Path, Published], tmp_path: Path) -> Published:
    """Version 1 by the recipe of `write_recipe()`: a copy of its own, to be changed.

    In ``tmp_path`` are flowers.csv, flowers.toml, models and the finished run's folder, run.
    """
    folder, published = trained_flowers
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    here = tmp_path / published.folder.relative_to(folder)
    return replace(published, folder=here, manifest=copy.deepcopy(published.manifest))


@pytest.fixture(scope="session")
def trained_flowers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Published]:
    """What `flowers` copies."""
    folder = tmp_path_factory.mktemp("flowers")
    recipe = load_recipe(_write_recipe(folder, "flowers"))
    return folder, train(Run(recipe, folder / "models", RunFolder(folder / "run")), Watcher())


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


def _write_recipe(folder: Path, name: str, **options: object) -> Path:
    random = np.random.default_rng(0)
    length, color = random.uniform(1, 9, 200), random.choice(["red", "blue"], 200)
    table = pd.DataFrame({"length": length, "fixed": 4.0, "color": color, "width": random.normal(20, 5, 200)})
    table["weight"] = np.sin(length) * 10 + (color == "red") * 5 + table["width"]
    table["kind"] = np.where(table["weight"] > 25, "big", "small")
    table.loc[::10, "width"] = np.nan
    table.to_csv(folder / "flowers.csv", index=False)
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
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.format(**(keys | options)))
    return path
