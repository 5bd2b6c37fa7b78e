"""The metrics of answers to rows with known true values, in the names of the manifest."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn import metrics as sk

from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.objective.loss import loss
from training.data.objective.loss_function import Loss, LossFunction, loss_function
from training.data.split import RowNumbers
from training.data.table import Cells
from training.recipe.sections import TargetScale

# The metric that counts rows without a finite answer. The other metrics are computed on the rest.
UNANSWERED = "unanswered_rows"
# Of an ensemble: single members on rows that they trained on, as "member_train_r2".
MEMBER = "member_train_"
# The scores by which a model is judged; of these, more is better.
EXPLAINED = ("accuracy", "deviance_explained", "r2")


def evaluate(
    dataset: Dataset, predict: Callable[[RowNumbers], Numbers], *, with_training: bool = False
) -> dict[str, float]:
    """Metrics on validation and test rows, by name; targets in raw units. A part without rows has none.

    Args:
        dataset: The table.
        predict: Takes row numbers, returns the answers ``[rows, outputs]`` to these rows.
        with_training: Also on the training rows, which show how far a network overfits.
    """
    parts = {"validation": dataset.validation, "test": dataset.test}
    if with_training:
        parts = {"train": dataset.train} | parts
    return {
        f"{part}_{name}": value
        for part, rows in parts.items()
        if len(rows)
        for name, value in score_rows(dataset, rows, predict(rows)).items()
    }


def score_rows(dataset: Dataset, rows: RowNumbers, answers: Numbers) -> dict[str, float]:
    """:func:`scores_of_answered` of answers ``[rows, outputs]`` to rows of a table."""
    weights = None if dataset.weights is None else dataset.weights[rows]
    return scores_of_answered(
        dataset.loss,
        dataset.y[rows],
        answers,
        target_scale=dataset.target_scale,
        weights=weights,
        targets=dataset.targets,
    )


def scores_of_answered(
    task: Loss,
    truth: Numbers | RowNumbers,
    answers: Numbers,
    *,
    target_scale: TargetScale = "linear",
    weights: Numbers | None = None,
    targets: Sequence[str] = (),
) -> dict[str, float]:
    """:func:`scores` of the rows with a finite answer. ``UNANSWERED`` counts the others, if there are any."""
    answered = np.isfinite(answers).all(axis=1)
    silent = {} if answered.all() else {UNANSWERED: float((~answered).sum())}
    some = None if weights is None else weights[answered]
    if not answered.any() or (some is not None and not some.any()):
        return silent
    found = scores(task, truth[answered], answers[answered], target_scale=target_scale, weights=some, targets=targets)
    return silent | found


def scores(
    task: Loss,
    truth: Numbers | RowNumbers,
    answers: Numbers,
    *,
    target_scale: TargetScale = "linear",
    weights: Numbers | None = None,
    targets: Sequence[str] = (),
) -> dict[str, float]:
    """Scores of answers: accuracy and log loss, or root mean square error, mean absolute error and R².

    Args:
        task: Classification or regression. Another loss has scores of its own too: :func:`_scores_of_loss`.
        truth: The true values: int64 ``[rows]`` classes, or ``[rows, targets]`` in raw units.
        answers: ``[rows, outputs]``, probabilities that sum to 1, or raw predictions; finite.
        target_scale: With "log" the root mean square error of the logarithms too, ``log_rmse``: 0.1 means that answers
            are typically 10 % off.
        weights: ``[rows]``, how much each row counts, one of them above 0; None: all alike.
        targets: Names of the targets. Of several the scores are means over the targets, and ``rmse_of_<name>`` and so
            on are those of each.
    """
    function = loss_function(task)
    if function.task == "regression" and truth.shape[1] > 1:
        columns = [
            scores(function, truth[:, [j]], answers[:, [j]], target_scale=target_scale, weights=weights)
            for j in range(truth.shape[1])
        ]
        return _mean_of(columns) | {
            f"{name}_of_{target}": value
            for target, found in zip(targets, columns, strict=False)
            for name, value in found.items()
        }
    if function.task == "classification":
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
        found["log_rmse"] = float(sk.root_mean_squared_error(np.log(truth), _log(answers), sample_weight=weights))
    # R² divides by the variance of the truth, so it needs two different values.
    varies = bool(np.ptp(truth if weights is None else truth[weights > 0]) > 0)
    found |= {"r2": float(sk.r2_score(truth, answers, sample_weight=weights))} if varies else {}
    if function.name == "huber" and target_scale == "log":
        # Its threshold is an error of logarithms, so the loss is too.
        truth, answers = np.log(truth), _log(answers)
    return found | _scores_of_loss(function, truth, answers, weights, varies)


def _mean_of(columns: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each score that all targets have."""
    return {
        name: float(np.mean([found[name] for found in columns]))
        for name in columns[0]
        if all(name in found for found in columns)
    }


def _scores_of_loss(
    function: LossFunction, truth: Cells, answers: Numbers, weights: Numbers | None, varies: bool
) -> dict[str, float]:
    """What people read of a loss other than squared error.

    ``deviance_explained`` is D², the share of the loss of the best constant that the answers do without: 1 is perfect,
    0 as good as that constant. ``share_below`` of a quantile is the share of targets that are not above the answer.
    """
    positive = np.maximum(answers, np.finfo(np.float32).tiny)  # Float32 may round a small answer to 0.
    found: dict[str, Any] = {}
    explained: Any = None
    match function.name:
        case "mae":
            explained = sk.d2_absolute_error_score
        case "huber":
            found = {"huber_loss": _huber_loss(function, truth, answers, weights)}
        case "quantile":
            alpha = function.quantile
            found = {
                "pinball_loss": sk.mean_pinball_loss(truth, answers, alpha=alpha, sample_weight=weights),
                "share_below": np.average((truth <= answers).mean(axis=1), weights=weights),
            }
            explained = partial(sk.d2_pinball_score, alpha=alpha)
        case "poisson" | "gamma":
            power = 1 if function.name == "poisson" else 2
            deviance = sk.mean_tweedie_deviance(truth, positive, power=power, sample_weight=weights)
            found, answers = {f"{function.name}_deviance": deviance}, positive
            explained = partial(sk.d2_tweedie_score, power=power)
    if explained is not None and varies:
        found["deviance_explained"] = explained(truth, answers, sample_weight=weights)
    return {name: float(value) for name, value in found.items()}


def _huber_loss(function: LossFunction, truth: Numbers, answers: Numbers, weights: Numbers | None) -> float:
    shares = None if weights is None else torch.from_numpy(weights / weights.mean())
    return float(loss(function, torch.from_numpy(answers), torch.from_numpy(truth), shares))


def _log(answers: Numbers) -> Numbers:
    """The logarithm; an answer that float32 rounds to 0 counts as its smallest number."""
    logarithms: Numbers = np.log(np.maximum(answers, np.finfo(np.float32).tiny))
    return logarithms
