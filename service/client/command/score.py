"""How good predictions are, where the truth is known; added up block by block."""

import math

import numpy as np

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from service.client.answers import Prediction
from service.client.errors import quoted
from service.client.rows import TableRows, numbers_of, word_of


class Accuracy:
    """The share of rows whose label is the true word; rows without a truth are left out."""

    def __init__(self, target: str, classes: tuple[str, ...]) -> None:
        self._target, self._classes = target, classes
        self._rows = self._right = self._untold = self._strange = 0
        self._stranger = ""

    def add(self, rows: TableRows, prediction: Prediction) -> None:
        """Count some rows and their prediction."""
        for cell, label in zip(rows.columns[self._target], prediction.labels or (), strict=True):
            truth = word_of(cell, self._classes)
            if truth == "" and "" not in self._classes:
                self._untold += 1
                continue
            self._rows += 1
            self._right += truth == label
            if truth not in self._classes:
                self._strange += 1
                self._stranger = self._stranger or str(cell)

    def summary(self) -> str:
        """One line."""
        if not self._rows:
            return f"accuracy unknown: no row tells {quoted(self._target)}"
        text = f"accuracy {self._right / self._rows:.4f} ({self._right} of {self._rows} rows{_left_out(self._untold)})"
        if self._strange:
            text += f"; {self._strange} hold no class of the model, the first is {quoted(self._stranger)}"
        return text


class Deviation:
    """Root mean square error and R² of predicted numbers; rows without a truth are left out."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._rows = self._untold = 0
        self._mean = self._spread = self._squares = 0.0

    def add(self, rows: TableRows, prediction: Prediction) -> None:
        """Count some rows and their prediction.

        Raises:
            InvalidInput: when a truth is not a number.
        """
        truth = numbers_of(self._target, rows)
        told = ~np.isnan(truth)
        self._untold += int(np.count_nonzero(~told))
        truth, errors = truth[told], (prediction.values[:, 0].astype(np.float64) - truth)[told]
        if not len(truth):
            return
        # Chan, Golub and LeVeque 1979: sums of squares about the mean, joined without losing digits.
        step = float(truth.mean()) - self._mean
        total = self._rows + len(truth)
        self._spread += float(np.square(truth - truth.mean()).sum()) + step**2 * self._rows * len(truth) / total
        self._mean += step * len(truth) / total
        self._squares += float(np.square(errors).sum())
        self._rows = total

    def summary(self) -> str:
        """One line."""
        if not self._rows:
            return f"RMSE unknown: no row tells {quoted(self._target)}"
        rmse = math.sqrt(self._squares / self._rows)
        r2 = f"{1 - self._squares / self._spread:.4f}" if self._spread else "undefined (the truth is constant)"
        return f"RMSE {rmse:.6g}, R² {r2} ({self._rows} rows{_left_out(self._untold)})"


def score_for(manifest: ModelManifest, target: str) -> Accuracy | Deviation:
    """What the model's task is scored by, against the truth in the column `target`."""
    if manifest.task == TASK_CLASSIFICATION:
        return Accuracy(target, tuple(manifest.classes))
    return Deviation(target)


def _left_out(rows: int) -> str:
    return f", {rows} without truth left out" if rows else ""
