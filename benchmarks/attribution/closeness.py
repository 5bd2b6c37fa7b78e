"""How near contributions are to exact Shapley values of the same baseline, with KernelSHAP beside them."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.attribution.networks import Trained, trained_networks
from benchmarks.attribution.shapley import exact, kernel_shap
from kan_model import contributions

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Closeness:
    """Σ |contribution − Shapley value| / Σ |Shapley value| of a row, as the mean over rows.

    Attributes:
        table: Name of the table.
        width: Nodes of the network.
        ours: Of the contributions.
        kernel: Of KernelSHAP, on fewer rows.
    """

    table: str
    width: tuple[int, ...]
    ours: float
    kernel: float


def closeness(rows: int, kernel_rows: int) -> Iterator[Closeness]:
    """Measure each trained network on rows that it never saw."""
    for trained in trained_networks():
        yield _of_network(trained, rows, kernel_rows)


def _of_network(trained: Trained, rows: int, kernel_rows: int) -> Closeness:
    kan = copy.deepcopy(trained.kan).double()
    x = trained.rows[:rows].double()
    wanted = np.stack([exact(kan, row, trained.reference[0]) for row in x])
    ours = contributions(kan, x, trained.reference.double()).inputs.numpy()

    def answer(points: Values) -> Values:
        with torch.no_grad():
            values: Values = kan(torch.from_numpy(points)).numpy()
        return values[:, 0] if values.shape[1] == 1 else values

    estimate = kernel_shap(answer, trained.reference.double().numpy())(x[:kernel_rows].numpy())
    return Closeness(trained.table, trained.kan.width, _error(ours, wanted), _error(estimate, wanted[:kernel_rows]))


def _error(found: Values, wanted: Values) -> float:
    off, size = (np.abs(each).sum(axis=(1, 2)) for each in (found - wanted, wanted))
    return float(np.mean(off / size))
