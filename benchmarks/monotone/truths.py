"""Truths that rise and fall with columns as promised, and noisy rows of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# How far one promised column of a row outside lies from the middle of its training range, in halves of that range.
_OUTSIDE = (1.0, 1.5)


@dataclass(frozen=True)
class Rows:
    """Rows to fit or to answer.

    Attributes:
        x: The inputs.
        y: The target.
        truth: What answers are compared with: the target, or what it would be without noise.
    """

    x: pd.DataFrame
    y: Any
    truth: Any


@dataclass(frozen=True)
class Truth:
    """A function of columns in [-1, 1], defined outside of them too.

    Attributes:
        name: In tables.
        columns: A letter for each.
        promised: The direction of each column in which the truth is monotone.
        answers: ``[rows, columns] -> [rows]``.
    """

    name: str
    columns: str
    promised: Mapping[str, str]
    answers: Callable[[Floats], Floats]


def known_truth(rows: Floats) -> Floats:
    """Rises with the first two of five columns in [-1, 1], falls with the third, and waves with the fourth."""
    a, b, c, d = rows.T[:4]
    truth: Floats = np.tanh(4 * a) + np.exp(b) * (1 + np.sin(3 * d)) / 2 - np.maximum(c, 0) ** 2 * 2
    return truth


def limited_truth(rows: Floats) -> Floats:
    """Saturates with the first of six columns in [-1, 1], drops at a threshold of the second, waves with the fifth.

    The third and the fourth act together: the lower one limits the answer (Liebig's law of the minimum).
    """
    a, b, c, d, e = rows.T[:5]
    truth: Floats = (
        1 - np.exp(-2 * (a + 1)) - 1 / (1 + np.exp(-12 * (b - 0.2))) + np.minimum(c, d) + 0.3 * np.cos(3 * e)
    )
    return truth


# Our defaults and the fit of curves with a direction were tried on the first one. The second one was written down
# before anything was fitted to it.
TRUTHS = (
    Truth("known truth", "abcde", {"a": "up", "b": "up", "c": "down"}, known_truth),
    Truth("limited truth", "abcdef", {"a": "up", "b": "down", "c": "up", "d": "up"}, limited_truth),
)


def draw_train(truth: Truth, count: int, noise: float, random: np.random.Generator) -> Rows:
    """Training rows: even in [-1, 1], with normal noise.

    Args:
        truth: What is learned.
        count: Number of rows.
        noise: Its standard deviation, in standard deviations of the truth over [-1, 1].
        random: A source of randomness.
    """
    x = random.uniform(-1, 1, (count, len(truth.columns)))
    answers = truth.answers(x)
    # The rows' own deviation is chance where they are few.
    size = truth.answers(np.random.default_rng(0).uniform(-1, 1, (100_000, len(truth.columns)))).std()
    return Rows(_frame(truth, x), answers + random.normal(0, noise * size, count), answers)


def draw_inside(truth: Truth, count: int, random: np.random.Generator) -> Rows:
    """Test rows without noise, even in [-1, 1]."""
    x = random.uniform(-1, 1, (count, len(truth.columns)))
    return Rows(_frame(truth, x), truth.answers(x), truth.answers(x))


def draw_outside(truth: Truth, count: int, random: np.random.Generator) -> Rows:
    """Test rows without noise, each with one promised column, any of them, below -1 or above 1, by 0.5 at most."""
    x = random.uniform(-1, 1, (count, len(truth.columns)))
    columns = random.choice([truth.columns.index(name) for name in truth.promised], count)
    x[np.arange(count), columns] = random.uniform(*_OUTSIDE, count) * random.choice([-1, 1], count)
    return Rows(_frame(truth, x), truth.answers(x), truth.answers(x))


def _frame(truth: Truth, x: Floats) -> pd.DataFrame:
    return pd.DataFrame(x, columns=list(truth.columns))
