"""Networks of several shapes, trained on real tables of 10 to 13 inputs as the training pipeline does."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_wine

from benchmarks.tables.sources import SOURCES, load
from kan_model import KAN, KANConfig
from training.data.samples import Samples
from training.fitting.fit import fit
from training.recipe.fit_sections import FitSection

Values = NDArray[np.float64]
Target = NDArray[np.float64] | NDArray[np.int64]
HIDDEN = ((4,), (16,), (32,), (8, 8))
_NAMES = ("boston", "breast_cancer", "diabetes", "magic")
# Of a table the first inputs are taken, since exact Shapley values take 2^inputs answers, and at most so many rows.
_INPUTS, _ROWS = 13, 2000


@dataclass(frozen=True)
class Trained:
    """A trained network of scaled inputs, and rows that it never saw.

    Attributes:
        table: Name of the table.
        kan: The network, in float32.
        reference: ``[1, inputs]``, medians of the training rows.
        rows: ``[rows, inputs]``.
    """

    table: str
    kan: KAN
    reference: torch.Tensor
    rows: torch.Tensor


def trained_networks() -> Iterator[Trained]:
    """Five tables, four shapes each."""
    for name, (x, y) in _tables().items():
        for hidden in HIDDEN:
            yield _train(name, x, y, hidden)


def _train(name: str, x: Values, y: Target, hidden: tuple[int, ...]) -> Trained:
    """Adam on 70 % of the rows, as `kan-train init` proposes it for small tables; 15 % choose the step."""
    order = np.random.default_rng(0).permutation(len(x))
    train, validation, test = np.split(order, [int(0.7 * len(x)), int(0.85 * len(x))])
    low, high = x[train].min(axis=0), x[train].max(axis=0)
    scaled = torch.from_numpy(2 * (x - low) / (high - low) - 1).float()
    is_class = y.dtype.kind == "i"
    targets = torch.from_numpy(y if is_class else ((y - y[train].mean()) / y[train].std())[:, None])
    targets = targets if is_class else targets.float()
    kan = KAN(KANConfig((x.shape[1], *hidden, int(y.max()) + 1 if is_class else 1)))
    plan = FitSection(steps=100, batch_rows=64, learning_rate=0.01, weight_decay=0.1)
    parts = [Samples(scaled[rows], targets[rows]) for rows in (train, validation)]
    best = fit(kan, parts[0], parts[1], plan, "classification" if is_class else "regression").best
    return Trained(name, best, scaled[train].median(dim=0, keepdim=True).values, scaled[test])


def _tables() -> dict[str, tuple[Values, Target]]:
    """Features and target of each table; classes are int64."""
    features, classes = load_wine(return_X_y=True)
    tables = {"wine": (features, classes.astype(np.int64))}
    for source in SOURCES:
        if source.name in _NAMES:
            table = load(source)
            table = table.sample(min(_ROWS, len(table)), random_state=0)
            target = table.pop(source.target)
            y = target.to_numpy(np.float64) if source.task == "regression" else pd.factorize(target, sort=True)[0]
            tables[source.name] = table.iloc[:, :_INPUTS].to_numpy(np.float64), y
    return tables
