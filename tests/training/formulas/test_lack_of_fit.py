"""Rows that speak against a formula."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from scipy.stats import f as ratio_of_variances

from kan_model import KAN, KANConfig
from kan_model.network.symbolic_edge import SymbolicEdge
from training.data.samples import Samples
from training.formulas.descent import descend
from training.formulas.lack_of_fit import speaks_against
from training.formulas.local_search import make_form
from training.formulas.work import Work

WORK = Work(1e9, lambda: None)
NETWORK = KAN(KANConfig((1, 1), grid_size=4, domain=((-2.0, 2.0),)), seed=0, dtype=torch.float64)


def noisy(x: np.ndarray, truth: np.ndarray, seed: int, noise: float = 0.05) -> Samples:
    """Rows with noise, the targets divided by their deviation."""
    y = truth + noise * truth.std() * np.random.default_rng(seed).standard_normal(len(truth))
    return Samples(torch.from_numpy(x)[:, None], torch.from_numpy(y / y.std())[:, None])


def speaks_against_function(function: str, rows: Samples) -> bool:
    """Whether the rows speak against one function of their input."""
    kan = NETWORK.with_layers([NETWORK.layers[0].with_symbolic([SymbolicEdge(0, 0, function, 1.0, 0.0, 1.0, 0.1)])])
    form = make_form(kan, rows, WORK)
    assert form is not None
    return speaks_against(form, NETWORK, rows, WORK)


def test_all_rows_tell_what_a_few_cannot() -> None:
    """A Gaussian for 1/(1 + x²), noise of 20 %: 400 rows of each of 5 tables speak against it, 75 of one at most."""
    x = np.random.default_rng(0).uniform(-2, 2, 400)
    tables = [noisy(x, 1 / (1 + x**2), seed, noise=0.2) for seed in range(5)]
    assert all(speaks_against_function("gaussian", rows) for rows in tables)
    assert sum(speaks_against_function("gaussian", rows.take(torch.arange(75))) for rows in tables) <= 1


def test_a_true_function_is_seldom_spoken_against() -> None:
    """At most 2 of 25 tables at a level of 1 %: more happen to 2 of 1,000 tests that are right."""
    x = np.random.default_rng(0).uniform(-2, 2, 200)
    assert sum(speaks_against_function("exp", noisy(x, np.exp(x), seed)) for seed in range(25)) <= 2


@pytest.mark.parametrize("curvature", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_the_test_is_that_of_nested_linear_models(curvature: float) -> None:
    """A line against cubic splines on the same knots: the answer of an F-test by NumPy's least squares.

    The network's silu beside its splines and its constant are one parameter more than SciPy's splines, near the level.
    """
    x = np.random.default_rng(1).uniform(-2, 2, 200)
    rows = noisy(x, x + curvature * x**2, 3, noise=0.3)
    y = rows.y.numpy()[:, 0]
    knots = np.arange(-3, 8) - 2.0
    lines, splines = np.column_stack([x, np.ones_like(x)]), BSpline.design_matrix(x, knots, 3).toarray()
    squares = [float(np.sum((y - part @ np.linalg.lstsq(part, y, rcond=None)[0]) ** 2)) for part in (lines, splines)]
    left = len(x) - splines.shape[1]
    more = splines.shape[1] - lines.shape[1]
    by_chance = ratio_of_variances.sf((squares[0] - squares[1]) / more / (squares[1] / left), more, left)
    assert not 0.005 < by_chance < 0.02, "too close to the level to compare"
    assert speaks_against_function("x", rows) == (by_chance < 0.01)


def test_a_fit_that_gains_little_ends_no_worse() -> None:
    """The judged fit, which ends early, is within 5 % of the best of all steps on the rows that judge."""
    x = np.random.default_rng(0).uniform(-2, 2, 300)
    rows = noisy(x, np.sin(3 * x) * x, 0)
    train, judges = rows.take(torch.arange(200)), rows.take(torch.arange(200, 300))
    deep = KAN(KANConfig((1, 2, 1), grid_size=4, domain=((-2.0, 2.0),)), seed=0, dtype=torch.float64)
    every = []
    for steps in range(0, 41, 4):
        kan = descend(deep, train, steps)[0]
        with torch.no_grad():
            every.append(float((kan(judges.x) - judges.y).square().mean().sqrt()))
    assert descend(deep, train, 40, judges)[1] <= 1.05 * min(every)
