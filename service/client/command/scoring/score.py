"""The score of predictions if the true values are known, computed block by block."""

import math

import numpy as np
from numpy.typing import NDArray

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from service.client.answers import Prediction
from service.client.command.scoring.objective_loss import ObjectiveLoss, loss_of
from service.client.encoding.number_cells import numbers_of
from service.client.encoding.table_rows import TableRows
from service.client.encoding.words import word_of
from service.client.errors import list_names


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
    """Root mean square error and R² of predicted numbers. Rows without a true value are left out.

    Args:
        target: column with the true values.
        output: place of the answer that is compared.
        loss: the loss of the model's objective, which comes first in the summary. None: squared error.
    """

    def __init__(self, target: str, output: int = 0, loss: ObjectiveLoss | None = None) -> None:
        self._target, self._output, self._loss = target, output, loss
        self._rows = self._without_truth = 0
        self._inside: int | None = None
        self._mean = self._spread = self._squares = 0.0

    def add(self, rows: TableRows, prediction: Prediction) -> None:
        """Add rows and their prediction to the score.

        Raises:
            InvalidInput: when a true value is not a number.
        """
        truth, answers, without = _compare(self._target, self._output, rows, prediction)
        self._without_truth += without
        if not len(truth):
            return
        if self._loss is not None:
            self._loss.add(truth, answers)
        self._add_bounds(rows, prediction)
        # Chan, Golub and LeVeque 1979: combine sums of squares about two means without loss of digits.
        step = float(truth.mean()) - self._mean
        total = self._rows + len(truth)
        self._spread += float(np.square(truth - truth.mean()).sum()) + step**2 * self._rows * len(truth) / total
        self._mean += step * len(truth) / total
        self._squares += float(np.square(answers - truth).sum())
        self._rows = total

    def _add_bounds(self, rows: TableRows, prediction: Prediction) -> None:
        """Count the true values between the bounds, if the model has any."""
        if (bounds := prediction.bounds) is None:
            return
        truth = numbers_of(self._target, rows)
        lower, upper = (each[:, self._output] for each in bounds)
        # No number is at least NaN, so rows without a true value are not counted.
        self._inside = (self._inside or 0) + int(np.count_nonzero((lower <= truth) & (truth <= upper)))

    def summary(self) -> str:
        """The score as one line of text."""
        if not self._rows:
            name = "RMSE" if self._loss is None else self._loss.name
            return f"{name} unknown: no row has a value in column {quoted(self._target)}"
        rmse = math.sqrt(self._squares / self._rows)
        r2 = f"{1 - self._squares / self._spread:.4f}" if self._spread else "undefined (the truth is constant)"
        loss = "" if self._loss is None else f"{self._loss.summary()}, "
        inside = "" if self._inside is None else f", {self._inside / self._rows:.4f} between the bounds"
        return f"{loss}RMSE {rmse:.6g}, R² {r2}{inside} ({self._rows} rows{_describe_rest(self._without_truth)})"


class QuantileScore:
    """Pinball loss of a predicted quantile, and the share of true values that are not above it.

    A quantile is meant to be off the mean, so RMSE and R² say nothing of it.
    """

    def __init__(self, target: str, quantile: float, output: int = 0) -> None:
        self._target, self._quantile, self._output = target, quantile, output
        self._rows = self._without_truth = self._below = 0
        self._loss = 0.0

    def add(self, rows: TableRows, prediction: Prediction) -> None:
        """Add rows and their prediction to the score.

        Raises:
            InvalidInput: when a true value is not a number.
        """
        truth, answers, without = _compare(self._target, self._output, rows, prediction)
        errors = answers - truth
        self._without_truth += without
        self._rows += len(truth)
        self._below += int(np.count_nonzero(errors >= 0))
        self._loss += float(np.where(errors < 0, -self._quantile * errors, (1 - self._quantile) * errors).sum())

    def summary(self) -> str:
        """The score as one line of text."""
        if not self._rows:
            return f"pinball loss unknown: no row has a value in column {quoted(self._target)}"
        rows = f"{self._rows} rows{_describe_rest(self._without_truth)}"
        return (
            f"pinball loss {self._loss / self._rows:.6g}, {self._below / self._rows:.4f} of the true values are not "
            f"above the answer, the {self._quantile:g} quantile ({rows})"
        )


class OneOfSeveral:
    """The score of one of several targets; its summary says which one."""

    def __init__(self, score: "Deviation | QuantileScore", compared: str) -> None:
        self._score, self._compared = score, compared

    def add(self, rows: TableRows, prediction: Prediction) -> None:
        """Add rows and their prediction to the score.

        Raises:
            InvalidInput: when a true value is not a number.
        """
        self._score.add(rows, prediction)

    def summary(self) -> str:
        """The score as one line of text."""
        return f"{self._score.summary()}; {self._compared}"


Score = Accuracy | Deviation | QuantileScore | OneOfSeveral


def score_for(manifest: ModelManifest, target: str) -> Score:
    """The score for the model's task, with the true values in the column `target`.

    Classes have accuracy, a quantile has its own loss, and other numbers have the loss that the model was fitted to and
    their deviation.
    """
    if manifest.task == TASK_CLASSIFICATION:
        return Accuracy(target, tuple(manifest.classes))
    names = list(manifest.targets)
    # Of several targets the column's own; a column of another name is compared with the first output.
    output = names.index(target) if target in names else 0
    score: Deviation | QuantileScore = Deviation(target, output, loss_of(manifest.objective))
    if manifest.objective.loss == "quantile":
        score = QuantileScore(target, manifest.objective.quantile, output)
    if not names:
        return score
    others = list_names([name for place, name in enumerate(names) if place != output])
    column = "" if target in names else f", the first target, with column {quoted(target)}"
    return OneOfSeveral(score, f"compared is only {quoted(names[output])}{column}; the model answers {others} too")


def _compare(
    target: str, output: int, rows: TableRows, prediction: Prediction
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The known true values, the answers to their rows, and the number of rows without a true value."""
    truth = numbers_of(target, rows)
    is_known = ~np.isnan(truth)
    answers = prediction.values[:, output].astype(np.float64)
    return truth[is_known], answers[is_known], int(np.count_nonzero(~is_known))


def _describe_rest(rows: int) -> str:
    return f", {rows} without a true value left out" if rows else ""
