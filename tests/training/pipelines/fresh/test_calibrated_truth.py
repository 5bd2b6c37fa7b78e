"""[calibration] beside the truth: classes drawn by known probabilities, and 100,000 fresh rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from training.calibration import divide_scores
from training.data.dataset import prepare
from training.pipelines.fresh.fit import new_fit
from training.pipelines.fresh.judged_fit import judge_fit
from training.publishing.manifest import predict
from training.recipe.config import parse_recipe

Values = NDArray[np.float64]

RECIPE = """
[model]
name = "drawn"
[data]
path = "drawn.csv"
target = "kind"
columns = ["x0", "x1", "x2", "x3"]
[task]
kind = "classification"
[split]
test = 0.05
seed = {seed}
[network]
hidden = [{hidden}]
[fit]
grids = [5]
steps = {steps}
learning_rate = 0.02
batch_rows = 128
label_smoothing = {smoothing}
seed = {seed}
[ensemble]
members = 4
[calibration]
"""
FRESH = 100_000


def draw(rows: int, classes: int, size: float, seed: int) -> tuple[Values, Values, NDArray[np.int64]]:
    """Rows, the probabilities of their classes, and classes drawn by them."""
    random = np.random.default_rng([seed, rows, classes])
    x = random.uniform(-1, 1, (rows, 4))
    scores = np.stack([np.sin(3 * x[:, 0]) + x[:, 1], x[:, 2] * x[:, 3] * 2, -x[:, 1]], axis=1)[:, :classes]
    chances = softmax(size * scores, axis=1)
    return x, chances, (random.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)


def change_of_loss(folder: Path, rows: int, classes: int, size: float, seed: int, smoothing: float = 0.0) -> float:
    """By how much the temperature changes the expected log loss of fresh rows."""
    x, _, kind = draw(rows, classes, size, seed)
    table = pd.DataFrame(x, columns=["x0", "x1", "x2", "x3"]).assign(kind=[f"k{each}" for each in kind])
    table.to_csv(folder / "drawn.csv", index=False)
    steps = max(20, 60_000 // rows)
    text = RECIPE.format(seed=seed, hidden=4 if classes == 2 else 8, steps=min(steps, 200), smoothing=smoothing)
    recipe = parse_recipe(text, folder=folder, name="drawn.toml")
    way, data = new_fit(recipe, prepare(recipe))
    state = way.begin()
    for _ in way.steps(state):
        pass
    judged = judge_fit(way, state, data, lambda: None, lambda _: None)
    assert judged.calibrated is not None
    fresh, chances, _ = draw(FRESH, classes, size, 1_000 + seed)
    divided = predict(judged.trained, fresh)
    plain = divide_scores(divided, 1 / judged.calibrated.message.temperature)
    lost = [-(chances * np.log(np.maximum(each, 1e-300))).sum(axis=1).mean() for each in (plain, divided)]
    return float(lost[1] - lost[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "classes", "size"),
    # Chance is largest in the fewest rows: all kinds of classes there, and each of them once with more rows.
    [(200, 2, 1.0), (200, 2, 4.0), (200, 3, 2.0), (600, 2, 1.0), (2_000, 2, 4.0), (5_000, 3, 2.0)],
)
def test_the_log_loss_of_fresh_rows_does_not_rise(rows: int, classes: int, size: float, tmp_path: Path) -> None:
    """Over three seeds; more than a few thousandths would be a temperature that follows chance or another network."""
    changes = [change_of_loss(tmp_path, rows, classes, size, seed) for seed in range(3)]
    assert max(changes) < 3e-3
    assert np.mean(changes) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("rows", [600, 2_000])
def test_probabilities_that_are_too_timid_get_better(rows: int, tmp_path: Path) -> None:
    """Labels smoothed by 0.3 leave them so; each seed."""
    changes = [change_of_loss(tmp_path, rows, 3, 4.0, seed, smoothing=0.3) for seed in range(3)]
    assert max(changes) < -5e-3
