"""[calibration] beside the truth: classes that are drawn by known probabilities, and 20,000 fresh rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from benchmarks.tables.methods.metrics import Floats
from kan_model import members_of
from training.calibration import choose_mean_temperature
from training.calibration.error import BINS
from training.calibration.temperature import fit_temperature
from training.data.dataset import prepare
from training.pipelines.fresh.fit import new_fit
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.recipe.config import parse_recipe

ROW_COUNTS, SEEDS, KINDS = (200, 300, 1_000, 3_000), 5, ("two", "three", "noise", "clear")
# Of the members without a choice of the step; the second number is that of members.
OVERFITTED = (("two", 8), ("three", 3))
_COLUMNS, _FRESH = 6, 20_000
# As the candidates of `kan-train init`: updates for 2,000 rows, weight decay, learning rate.
_PLANS = {"mid": (600, 0.0, 0.01), "little": (150, 1.0, 0.03), "much": (1_400, 0.0, 0.02)}
_RECIPE = """
[model]
name = "drawn"
[data]
path = "drawn.csv"
target = "kind"
columns = {columns}
[task]
kind = "classification"
[split]
validation = 0.1
test = 0.02
seed = {seed}
[inputs]
scaling = "minmax"
[network]
hidden = [{hidden}]
[fit]
grids = [6]
steps = {steps}
batch_rows = 128
learning_rate = {learning_rate}
schedule = "warm-up"
weight_decay = {weight_decay}
seed = {seed}
[ensemble]
members = {members}
hidden_grid = 6
"""


@dataclass(frozen=True)
class Fit:
    """What one fit says of fresh rows at a temperature of 1, at ours, and at one that is fitted to single members.

    Attributes:
        rows: Of the table.
        losses: The expected log loss at each of the three.
        errors: The calibration error at each, against the probabilities that drew the classes.
    """

    rows: int
    losses: tuple[float, float, float]
    errors: tuple[float, float, float]


def draw(kind: str, rows: int, random: np.random.Generator) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Rows, the probabilities of their classes, and classes drawn by them: two or three, hardly any signal, or much."""
    x = random.uniform(-1, 1, (rows, _COLUMNS))
    wave, product = np.sin(3 * x[:, 0]), x[:, 2] * x[:, 3]
    if kind == "three":
        scores = [2 * x[:, 0] + x[:, 4], 2 * np.sin(3 * x[:, 1]), -2 * x[:, 0] * x[:, 2] + x[:, 3]]
        chances = softmax(1.2 * np.stack(scores, axis=1), axis=1)
    else:
        score = {
            "two": 2 * wave + 2 * x[:, 1] - 2 * product,
            "noise": 0.5 * x[:, 0],
            "clear": 12 * (wave + x[:, 1] - product),
        }[kind]
        chances = softmax(np.stack([np.zeros(rows), score], axis=1), axis=1)
    return x, chances, (random.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=chances.shape[1] - 1)


def measure(rows: int, folder: Path, *, overfitted: bool) -> Iterator[Fit]:
    """Fit each table of so many rows.

    Args:
        rows: How many rows each table has.
        folder: For the tables.
        overfitted: Whether members are taken as they are after the last step, which is far too late.
    """
    for seed in range(SEEDS):
        if overfitted:
            for kind, members in OVERFITTED:
                yield _fit(kind, rows, seed, members, "much", folder, picks=False)
        else:
            plan = "mid" if rows >= 3_000 else tuple(_PLANS)[seed % 3]
            for kind in KINDS:
                yield _fit(kind, rows, seed, 4 if kind == "three" else 8, plan, folder, picks=True)


def _fit(kind: str, rows: int, seed: int, members: int, plan: str, folder: Path, *, picks: bool) -> Fit:
    names = [f"x{place}" for place in range(_COLUMNS)]
    x, _, classes = draw(kind, rows, np.random.default_rng([seed, rows, 7]))
    table = pd.DataFrame(x, columns=names).assign(kind=[f"c{each}" for each in classes])
    table.to_csv(folder / "drawn.csv", index=False)
    updates, weight_decay, learning_rate = _PLANS[plan]
    steps = round(max(1.0, (rows / 2_000) ** 0.5) * updates / -(-rows // 128))
    text = _RECIPE.format(
        columns=names,
        seed=seed,
        hidden=16 if kind == "three" else 4,
        steps=min(1_000, max(5, steps)),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        members=members,
    )
    recipe = parse_recipe(text, folder=folder, name="drawn.toml")
    way, data = new_fit(recipe, prepare(recipe))
    state = way.begin()
    for _ in way.steps(state):
        pass
    if not picks:
        state.best = state.kan
    trained = Trained(way.network(state), data.inputs, None)
    left_out = way.left_out(state)
    assert left_out is not None
    truth = data.dataset.y[left_out.numbers].astype(np.int64)
    known = data.dataset.x[left_out.numbers]
    scores = np.stack([predict(replace(trained, kan=each), known) for each in members_of(trained.kan)], axis=1)
    single = scores[np.arange(len(truth)), left_out.members]
    temperatures = (
        1.0,
        choose_mean_temperature(scores, left_out.members, truth).chosen.value,
        fit_temperature(single, truth),
    )
    fresh, chances, _ = draw(kind, _FRESH, np.random.default_rng([seed, rows, 99]))
    divided = [predict(trained, fresh) / each for each in temperatures]
    losses = [float((logsumexp(each, axis=1) - (chances * each).sum(axis=1)).mean()) for each in divided]
    errors = [_error(softmax(each, axis=1), chances) for each in divided]
    return Fit(rows, (losses[0], losses[1], losses[2]), (errors[0], errors[1], errors[2]))


def _error(told: Floats, chances: Floats) -> float:
    """As the calibration error, with the probability of the told class in place of the share of rows of that class."""
    confidence, right = told.max(axis=1), chances[np.arange(len(told)), told.argmax(axis=1)]
    parts = np.array_split(np.argsort(confidence), BINS)
    return float(sum(abs((confidence - right)[part].mean()) * len(part) for part in parts) / len(told))
