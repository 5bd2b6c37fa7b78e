"""Bounds and a pair of quantiles at equal coverage."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data.dataset import Dataset, prepare
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.fitting.apart import ApartRows
from training.intervals.beside import compare_widths, equal_widths
from training.intervals.calibrate import Kind, calibrate
from training.intervals.judge import bounds_of
from training.pipelines.fresh.fit import new_fit
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.recipe.config import parse_recipe

RANDOM = np.random.default_rng(0)
ROWS = 501
SCALES: list[Kind] = ["linear", "positive", "log"]


def pair_of(scale: Kind) -> tuple[Numbers, Numbers, Numbers]:
    """A lower bound, an upper bound and true values ``[rows, 2]``; those of a log scale and of counts are positive."""
    middle = RANDOM.normal(size=(ROWS, 2))
    half = RANDOM.uniform(0.1, 1, (ROWS, 2))
    truth = middle + 0.3 + RANDOM.normal(size=(ROWS, 2))
    if scale == "linear":
        return middle - half, middle + half, truth
    lower, upper, truth = np.exp(middle - half), np.exp(middle + half), np.exp(truth)
    return lower, upper, truth


def narrowest(scale: Kind, lower: Numbers, upper: Numbers, truth: Numbers, coverage: float) -> float:
    """The width of one output by trying: 20,000 factors and 20,000 movements, the first that holds enough rows."""
    if scale == "log":
        lower, upper, truth = np.log(lower), np.log(upper), np.log(truth)
    middle, half = (lower + upper) / 2, (upper - lower) / 2
    least = []
    for factor in (True, False):
        for step in np.linspace(0, 20, 20_001):
            changed = half * step if factor else half + step - 1
            low, high = middle - changed, middle + changed
            # A pair that is narrowed past its middle holds nothing.
            if np.mean((low <= truth) & (truth <= high)) >= coverage:
                break
        high = np.maximum(high, middle)
        low = np.minimum(low, middle)
        if scale == "log":
            low, high = np.exp(low), np.exp(high)
        least.append(float((high - np.maximum(low, 0) if scale == "positive" else high - low).mean()))
    return min(least)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
@pytest.mark.parametrize("scale", SCALES)
def test_the_width_is_that_of_the_narrower_way(scale: Kind, coverage: float) -> None:
    """Of both ways to hold 50 or 90 % of the rows, as found by trying, each output has the narrower one."""
    lower, upper, truth = pair_of(scale)
    found = equal_widths(scale, lower, upper, truth, coverage)
    for output in (0, 1):
        tried = narrowest(scale, lower[:, output], upper[:, output], truth[:, output], coverage)
        assert found[output] == pytest.approx(tried, rel=5e-3)


def test_a_pair_that_holds_the_asked_share_stays_as_it_is() -> None:
    """Of 10 rows 9 lie within 1 of the middle, the ninth exactly there."""
    truth = np.array([0.0, 0.1, 0.2, -0.3, 0.4, 0.5, -0.6, 0.7, 1.0, 9.0])[:, None]
    one = np.ones_like(truth)
    np.testing.assert_allclose(equal_widths("linear", -one, one, truth, 0.9), 2)


@pytest.mark.parametrize("scale", SCALES)
def test_two_equal_quantiles_are_moved_apart(scale: Kind) -> None:
    """As of a target that trees cannot tell apart: the width is twice the distance that the asked share keeps."""
    truth = RANDOM.uniform(1, 3, (100, 1))
    two = np.full_like(truth, 2.0)
    found = equal_widths(scale, two, two, truth, 0.9)
    if scale == "log":
        distance = np.sort(np.abs(np.log(truth / 2)), axis=0)[89]
        np.testing.assert_allclose(found, 2 * np.exp(distance) - 2 * np.exp(-distance))
    else:
        np.testing.assert_allclose(found, 2 * np.sort(np.abs(truth - 2), axis=0)[89])
    # True values that are all met need no width.
    assert equal_widths(scale, two, two, two, 0.9) == pytest.approx(0, abs=1e-9)


TASKS = {"linear": "", "positive": 'objective = "poisson"', "log": 'target_scale = "log"'}


def bounded(folder: Path, scale: Kind) -> tuple[Dataset, Trained]:
    """Counts of one kind or another, and a network that is not fitted, with bounds from 240 answers of 3."""
    x = RANDOM.uniform(-1, 1, 300)
    pd.DataFrame({"x": x, "y": 1 + RANDOM.poisson(np.exp(1 + x))}).to_csv(folder / "t.csv", index=False)
    recipe = parse_recipe(
        '[model]\nname = "m"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = ["x"]\n'
        f'[task]\nkind = "regression"\n{TASKS[scale]}\n[network]\nhidden = [2]\n[fit]\ngrids = [3]\n'
        "batch_rows = 64\n[ensemble]\nmembers = 4\n[intervals]\ncoverage = 0.8\n",
        folder=folder,
        name="recipe",
    )
    dataset = prepare(recipe)
    way, table = new_fit(recipe, dataset)
    numbers = np.concatenate([dataset.train, dataset.validation])
    rows = ApartRows(numbers, np.full((len(numbers), 1), 3.0), np.arange(len(numbers)) % 4, numbers[:0])
    trained = Trained(way.network(way.begin()), table.inputs, table.outputs)
    return dataset, replace(trained, intervals=calibrate(recipe, dataset, trained, rows).intervals)


@pytest.mark.parametrize("scale", SCALES)
def test_intervals_are_multiplied_on_their_own_scale(scale: Kind, tmp_path: Path) -> None:
    """Of 60 test rows 48 lie between the bounds of the factor; no bound of counts is below 0, nor the pair's."""
    dataset, trained = bounded(tmp_path, scale)
    rows = dataset.test
    truth, answers = dataset.y[rows], predict(trained, dataset.x[rows])

    def pair(asked: RowNumbers) -> tuple[Numbers, Numbers]:
        assert (asked == rows).all()
        return np.full((len(asked), 1), 0.5 if scale == "log" else -1.5), np.full((len(asked), 1), 5.5)

    found = compare_widths(0.8, pair, 240, dataset, trained)
    _, upper = bounds_of(trained, dataset.x[rows])
    width = np.log(upper / answers) if scale == "log" else upper - answers
    off = np.abs(np.log(truth / answers)) if scale == "log" else np.abs(truth - answers)
    width = width * np.sort(off / width, axis=0)[47]
    if scale == "log":
        wanted = answers * (np.exp(width) - np.exp(-width))
    else:
        wanted = answers + width - (np.maximum(answers - width, 0) if scale == "positive" else answers - width)
    assert found.intervals_equal_width[0] == pytest.approx(wanted.mean(), rel=1e-4)
    assert found.judged_width[0] == pytest.approx({"linear": 7.0, "positive": 5.5, "log": 5.0}[scale])
    assert found.judged_coverage[0] == pytest.approx(np.mean(truth <= 5.5))
    assert found.train_rows == 240
