"""The metrics of answers to rows with known true values, in the names of the manifest."""

from collections.abc import Callable

import numpy as np
from sklearn import metrics as sk

from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.objective import Task
from training.data.split import RowNumbers
from training.recipe.sections import TargetScale

# The metric that counts rows without a finite answer. The other metrics are computed on the rest.
UNANSWERED = "unanswered_rows"


def evaluate(dataset: Dataset, predict: Callable[[RowNumbers], Numbers]) -> dict[str, float]:
    """Metrics on validation and test rows, by name; targets in raw units.

    Args:
        dataset: The table.
        predict: Takes row numbers, returns the answers ``[rows, outputs]`` to these rows.
    """
    parts = {"validation": dataset.validation, "test": dataset.test}
    return {
        f"{part}_{name}": value
        for part, rows in parts.items()
        for name, value in score_rows(dataset, rows, predict(rows)).items()
    }


def score_rows(dataset: Dataset, rows: RowNumbers, answers: Numbers) -> dict[str, float]:
    """:func:`scores_of_answered` of answers ``[rows, outputs]`` to rows of a table."""
    weights = None if dataset.weights is None else dataset.weights[rows]
    return scores_of_answered(
        dataset.task, dataset.y[rows], answers, target_scale=dataset.target_scale, weights=weights
    )


def scores_of_answered(
    task: Task,
    truth: Numbers | RowNumbers,
    answers: Numbers,
    *,
    target_scale: TargetScale = "linear",
    weights: Numbers | None = None,
) -> dict[str, float]:
    """:func:`scores` of the rows with a finite answer. ``UNANSWERED`` counts the others, if there are any."""
    answered = np.isfinite(answers).all(axis=1)
    silent = {} if answered.all() else {UNANSWERED: float((~answered).sum())}
    some = None if weights is None else weights[answered]
    if not answered.any() or (some is not None and not some.any()):
        return silent
    return silent | scores(task, truth[answered], answers[answered], target_scale=target_scale, weights=some)


def scores(
    task: Task,
    truth: Numbers | RowNumbers,
    answers: Numbers,
    *,
    target_scale: TargetScale = "linear",
    weights: Numbers | None = None,
) -> dict[str, float]:
    """Scores of answers: accuracy and log loss, or root mean square error, mean absolute error and R².

    Args:
        task: Classification or regression.
        truth: The true values: int64 ``[rows]`` classes, or ``[rows, targets]`` in raw units.
        answers: ``[rows, outputs]``, probabilities that sum to 1, or raw predictions; finite.
        target_scale: With "log" the root mean square error of the logarithms too, ``log_rmse``: 0.1 means that answers
            are typically 10 % off.
        weights: ``[rows]``, how much each row counts, one of them above 0; None: all alike.
    """
    if task == "classification":
        classes = list(range(answers.shape[1]))
        return {
            "accuracy": float(sk.accuracy_score(truth, answers.argmax(axis=1), sample_weight=weights)),
            "log_loss": float(sk.log_loss(truth, answers, labels=classes, sample_weight=weights)),
        }
    found = {
        "rmse": float(sk.root_mean_squared_error(truth, answers, sample_weight=weights)),
        "mae": float(sk.mean_absolute_error(truth, answers, sample_weight=weights)),
    }
    if target_scale == "log":
        # An answer that float32 rounds to 0 has no logarithm.
        logarithms = np.log(np.maximum(answers, np.finfo(np.float32).tiny))
        found["log_rmse"] = float(sk.root_mean_squared_error(np.log(truth), logarithms, sample_weight=weights))
    # R² divides by the variance of the truth, so it needs two different values.
    varies = np.ptp(truth if weights is None else truth[weights > 0]) > 0
    return found | ({"r2": float(sk.r2_score(truth, answers, sample_weight=weights))} if varies else {})
