"""What is trained: functions of two and three variables, and tables by recipes."""

import functools
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from benchmarks.paper import staircase
from benchmarks.paper.fits.points import Target, points_of, scaled_rmse
from benchmarks.paper.functions.feynman import EQUATIONS
from kan_model import KAN, KANConfig
from kan_model.network.initialization import Initialization
from training.data.dataset import Dataset, prepare
from training.data.preparation import input_transform, new_network, output_transform, samples
from training.data.samples import Samples
from training.fitting.evaluation import answers
from training.fitting.fit import begin, fit, fit_steps
from training.recipe.config import Recipe, load_recipe, parse_recipe
from training.recipe.fit_sections import FitSection

DEPTHS = (2, 3, 5)
_RECIPES = Path(__file__).parents[3] / "training" / "recipes"
_ROWS = 1000
_FUNCTION_PLAN = FitSection(optimizer="lbfgs", grids=(3, 5, 10), steps=40)
_HIDDEN = {"digits": 64, "diabetes": 4, "diamonds": 16}
_DIAMONDS_ROWS = 12_000
_DIAMONDS = """
[model]
name = "diamonds"
[data]
path = "diamonds.csv"
target = "price"
columns = ["carat", "cut", "color", "clarity", "depth", "table", "x", "y", "z"]
[data.categories]
cut = ["Fair", "Good", "Very Good", "Premium", "Ideal"]
color = ["D", "E", "F", "G", "H", "I", "J"]
clarity = ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"]
[task]
kind = "regression"
[fit]
grids = [5]
steps = 20
batch_rows = 128
learning_rate = 0.01
"""


@dataclass(frozen=True)
class Experiment:
    """One thing to train.

    Attributes:
        name: Of the experiment, such as "feynman".
        part: The equation, where the experiment has several; else empty.
        depth: Number of layers.
        error: The error of a run, for an initialization, a seed and a share of the steps (1: all).
    """

    name: str
    part: str
    depth: int
    error: Callable[[Initialization, int, float], float]


# The first ten of table 2 of arXiv 2404.19756 that have two or three variables.
STUDIED = tuple(each.target for each in EQUATIONS if len(each.target.ranges) <= 3)[:10]


def experiments() -> list[Experiment]:
    """All of them: five names, three depths."""
    return [each for depth in DEPTHS for each in _of_depth(depth)]


def _of_depth(depth: int) -> list[Experiment]:
    return [
        Experiment("staircase", "", depth, functools.partial(_staircase, depth)),
        *(Experiment("feynman", each.name, depth, functools.partial(_feynman, each, depth)) for each in STUDIED),
        *(Experiment(name, "", depth, functools.partial(_table, name, depth)) for name in _HIDDEN),
    ]


def _staircase(depth: int, initialization: Initialization, seed: int, share: float) -> float:
    """Fig. 2.3 up to G = 20 (more layers: up to 10, with fewer steps): the lowest error of any grid."""
    width = (2, *[5] * (depth - 1), 1)
    grids, steps = ((3, 5, 10, 20), 100) if depth == 2 else ((3, 5, 10), 25)
    outcome = staircase.ours(seed, width, grids, max(1, round(steps * share)), initialization)
    return min(outcome.rmse) / float(staircase.points(3 * seed + 2)[1].std())


def _feynman(equation: Target, depth: int, initialization: Initialization, seed: int, share: float) -> float:
    """LBFGS from grid to grid, float64; inputs scaled to [-1, 1], targets to mean 0 and variance 1."""
    points = points_of(equation, seed, _ROWS, _ROWS)
    config = KANConfig((points.inputs, *[5] * (depth - 1), 1), _FUNCTION_PLAN.grids[0], initialization=initialization)
    plan = _FUNCTION_PLAN.model_copy(update={"steps": max(1, round(_FUNCTION_PLAN.steps * share))})
    kan = KAN(config, seed=seed, dtype=torch.float64)
    return scaled_rmse(fit(kan, points.train, points.validation, plan, "regression").best, points.test)


def _table(name: str, depth: int, initialization: Initialization, seed: int, share: float) -> float:
    """The recipe's network and fit, with its rows. Digits gets layers of half the width where it has more than two."""
    recipe, dataset = _dataset(name)
    hidden = _HIDDEN[name] if depth == 2 or name != "digits" else _HIDDEN[name] // 2
    network = recipe.network.model_copy(update={"hidden": (hidden,) * (depth - 1), "initialization": initialization})
    plan = recipe.fit.model_copy(update={"seed": seed, "steps": max(1, round(recipe.fit.steps * share))})
    recipe = recipe.model_copy(update={"network": network, "fit": plan})
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    kan = new_network(dataset, recipe, inputs)
    train, validation, test = (
        samples(dataset, rows, inputs, outputs, kan.dtype) for rows in (dataset.train, dataset.validation, dataset.test)
    )
    state = begin(kan, plan)
    for _ in fit_steps(state, train, validation, plan, dataset.task):
        pass
    if dataset.task == "regression":
        return _rmse(state.best, test)
    return float((answers(state.best, test.x).argmax(dim=1) != test.y).double().mean())


def _rmse(kan: KAN, rows: Samples) -> float:
    return float((answers(kan, rows.x) - rows.y).double().square().mean().sqrt())


@functools.cache
def _dataset(name: str) -> tuple[Recipe, Dataset]:
    if name != "diamonds":
        recipe = load_recipe(_RECIPES / f"{name}.toml")
        return recipe, prepare(recipe)
    with tempfile.TemporaryDirectory() as folder:
        _diamonds().to_csv(Path(folder) / "diamonds.csv", index=False)
        recipe = parse_recipe(_DIAMONDS, folder=Path(folder), name="diamonds")
        return recipe, prepare(recipe)


def _diamonds() -> pd.DataFrame:
    """Some rows of the table that plotnine ships; plotnine itself is not imported."""
    package = importlib.util.find_spec("plotnine")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError(
            "plotnine, which ships the table diamonds, is not installed; wanted the extra [bench]"
        )
    table = pd.read_csv(Path(package.submodule_search_locations[0]) / "data" / "diamonds.csv")
    return table.sample(_DIAMONDS_ROWS, random_state=0)
