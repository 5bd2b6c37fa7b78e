"""The score of predictions if the true values are known, computed block by block."""

import math

import numpy as np

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from service.client.answers import Prediction
from service.client.rows import TableRows, numbers_of, word_of


class Accuracy:
    """The share of rows whose label is the true class. Rows without a true value are left out."""

    def __init__(self, target: str, classes: tuple[str, ...]) -> None:
        self._target, self._classes = target, classes
        self._rows = self._right = self._without_truth = self._unknown = 0
        self._first_unknown = ""

    def add(self, rows: TableRows, prediction: Prediction) -> None:
        """Add rows and their prediction to the score."""
        for cell, label in zip(rows.columns[self._target], prediction.labels or (), strict=True):
            truth = word_of(cell, self._classes)
            if truth == "" and "" not in self._classes:
                self._without_truth += 1
                continue
            self._rows += 1
            self._right += truth == label
            if truth not in self._classes:
                self._unknown += 1
                self._first_unknown = self._first_unknown or str(cell)

    def summary(self) -> str:
        """The score as one line of text."""
        if not self._rows:
            return f"accuracy unknown: no row has a value in column {quoted(self._target)}"
        rest = _describe_rest(self._without_truth)
        text = f"accuracy {self._right / self._rows:.4f} ({self._right} of {self._rows} rows{rest})"
        if self._unknown:
            text += f"; {self._unknown} hold no class of the model, the first is {quoted(self._first_unknown)}"
        return text


class Deviation:
    """Root mean square error and R² of predicted numbers. Rows without a true value are left out."""

    def __init__(self, target: str, output: int = 0) -> None:
        self._target, self._output = target, output
        self._rows = self._without_truth = 0
        self._mean = self._spread = self._squares = 0.0

    def add(self, rows: TableRows, prediction: Prediction) -> None:
        """Add rows and their prediction to the score.

        Raises:
            InvalidInput: when a true value is not a number.
        """
        truth = numbers_of(self._target, rows)
        is_known = ~np.isnan(truth)
        self._without_truth += int(np.count_nonzero(~is_known))
        truth, errors = truth[is_known], (prediction.values[:, self._output].astype(np.float64) - truth)[is_known]
        if not len(truth):
            return
        # Chan, Golub and LeVeque 1979: combine sums of squares about two means without loss of digits.
        step = float(truth.mean()) - self._mean
        total = self._rows + len(truth)
        self._spread += float(np.square(truth - truth.mean()).sum()) + step**2 * self._rows * len(truth) / total
        self._mean += step * len(truth) / total
        self._squares += float(np.square(errors).sum())
        self._rows = total

    def summary(self) -> str:
        """The score as one line of text."""
        if not self._rows:
            return f"RMSE unknown: no row has a value in column {quoted(self._target)}"
        rmse = math.sqrt(self._squares / self._rows)
        r2 = f"{1 - self._squares / self._spread:.4f}" if self._spread else "undefined (the truth is constant)"
        return f"RMSE {rmse:.6g}, R² {r2} ({self._rows} rows{_describe_rest(self._without_truth)})"


def score_for(manifest: ModelManifest, target: str) -> Accuracy | Deviation:
    """The score for the model's task: accuracy for classes, deviation for numbers; `target` has the true values."""
    if manifest.task == TASK_CLASSIFICATION:
        return Accuracy(target, tuple(manifest.classes))
    # Of several targets the column's own; a column of another name is compared with the first output.
    names = list(manifest.targets)
    return Deviation(target, names.index(target) if target in names else 0)


def _describe_rest(rows: int) -> str:
    return f", {rows} without a true value left out" if rows else ""
