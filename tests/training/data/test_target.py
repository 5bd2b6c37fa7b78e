"""The target of a table: what a scale refuses, and which targets are for a log scale."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kan_model.network.transform import Exponential
from training.data.dataset import prepare
from training.data.preparation import input_transform, output_transform, samples
from training.data.target import is_positive_and_skewed
from training.errors import DataError
from training.recipe.config import load_recipe

Write = Callable[..., Path]


def write(write_recipe: Write, target: np.ndarray, task: str) -> Path:
    """The flowers with another target, and a recipe with further keys of [task]."""
    path = write_recipe(missing="drop_rows")
    table = pd.read_csv(path.parent / "flowers.csv")
    table["weight"] = target
    table.to_csv(path.parent / "flowers.csv", index=False)
    path.write_text(path.read_text().replace("[task]", f"[task]\n{task}"))
    return path


def test_on_a_log_scale_the_network_sees_standardized_logarithms(write_recipe: Write) -> None:
    """Its targets have mean 0 and standard deviation 1, and the output transform gives the raw numbers back."""
    prices = np.random.default_rng(0).lognormal(10, 1, 200)
    dataset = prepare(load_recipe(write(write_recipe, prices, 'target_scale = "log"')))
    outputs = output_transform(dataset)
    assert isinstance(outputs, Exponential)
    y = samples(dataset, dataset.train, input_transform(dataset, "none"), outputs, torch.float64).y
    assert float(y.mean()) == pytest.approx(0, abs=1e-6)
    assert float(y.std(correction=0)) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(outputs(y), dataset.y[dataset.train], rtol=1e-6)


@pytest.mark.parametrize("bad", [0.0, -3.0])
def test_a_number_without_a_logarithm_is_refused(write_recipe: Write, bad: float) -> None:
    """The message names the first such row of the file, also if rows before it are dropped, and how many there are."""
    target = np.linspace(1, 50, 200)
    target[[0, 41, 77]] = np.nan, bad, bad
    with pytest.raises(DataError, match=rf'"weight": row 42 \(line 43\) holds {bad:g}; .*target_scale.*, and 2 of'):
        prepare(load_recipe(write(write_recipe, target, 'target_scale = "log"')))


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (np.linspace(1e6, 1e6 + 1, 200), "rounds their logarithms"),
        (np.geomspace(1e-38, 1, 200), "float32 cannot hold them"),
    ],
)
def test_logarithms_that_float32_cannot_tell_apart_are_refused(
    write_recipe: Write, target: np.ndarray, why: str
) -> None:
    """Before the training, with what to do."""
    with pytest.raises(DataError, match=why):
        prepare(load_recipe(write(write_recipe, target, 'target_scale = "log"')))


def test_a_wide_range_is_no_obstacle(write_recipe: Write) -> None:
    """From 1e-9 to 1e9 small numbers count as much as large ones; the linear scale would lose them."""
    dataset = prepare(load_recipe(write(write_recipe, np.geomspace(1e-9, 1e9, 200), 'target_scale = "log"')))
    assert dataset.target_scale == "log"


@pytest.mark.parametrize(
    ("draw", "wanted"),
    [
        (lambda random: random.lognormal(10, 1, 500), True),
        (lambda random: random.exponential(3, 500) + 0.1, True),
        (lambda random: random.normal(20, 2, 500), False),
        (lambda random: random.poisson(0.5, 500).astype(float), False),
        (lambda random: -random.lognormal(10, 1, 500), False),
        # Most ages are near 80: the long tail is on the other side, and logarithms make it longer.
        (lambda random: 100 - random.lognormal(2, 0.5, 500).clip(max=90), False),
        (lambda _: np.full(500, 7.0), False),
        (lambda _: np.full(500, np.nan), False),
        (lambda random: np.append(random.lognormal(0, 3, 500), np.nan), True),
    ],
)
def test_which_targets_are_positive_and_skewed(draw: Callable[[np.random.Generator], np.ndarray], wanted: bool) -> None:
    """Prices and waiting times are; numbers around a mean, counts with a 0, and negative numbers are not."""
    assert is_positive_and_skewed(draw(np.random.default_rng(0))) is wanted


def test_skewness_does_not_depend_on_the_unit() -> None:
    """Numbers near the ends of float64 do not overflow in it."""
    values = np.random.default_rng(0).lognormal(0, 1, 500)
    assert all(is_positive_and_skewed(values * unit) for unit in (1e-200, 1.0, 1e200))
