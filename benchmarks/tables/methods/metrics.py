"""How good answers are: the error of numbers, log loss and Brier score of probabilities."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Half a unit of float32 at 1. Served probabilities are float32, and the log of a zero would outweigh all other rows.
_LEAST_PROBABILITY = 2.0**-24


def score_numbers(answers: Floats, truth: Floats, train: Floats) -> dict[str, float]:
    """Score a regression.

    Args:
        answers: One number a row.
        truth: The numbers that the rows have.
        train: The numbers of the training rows. Their mean is the trivial answer.

    Returns:
        error (RMSE / standard deviation of the truth), trivial (the same of the trivial answer), rmse and mae.
    """
    spread = float(truth.std())
    rmse = float(np.sqrt(np.mean((answers - truth) ** 2)))
    trivial = float(np.sqrt(np.mean((train.mean() - truth) ** 2)))
    return {
        "error": rmse / spread,
        "trivial": trivial / spread,
        "rmse": rmse,
        "mae": float(np.abs(answers - truth).mean()),
    }


def score_classes(answers: Floats, truth: NDArray[np.intp], train: NDArray[np.intp]) -> dict[str, float]:
    """Score a classification.

    Args:
        answers: One probability a row and class.
        truth: The class of each row.
        train: The class of each training row. Their frequencies are the trivial answer.

    Returns:
        error (the log loss), trivial (that of the trivial answer), brier (summed over classes) and accuracy.
    """
    frequencies = np.bincount(train, minlength=answers.shape[1]) / len(train)
    return {
        "error": _log_loss(answers, truth),
        "trivial": _log_loss(np.tile(frequencies, (len(truth), 1)), truth),
        "brier": float(((answers - np.eye(answers.shape[1])[truth]) ** 2).sum(axis=1).mean()),
        "accuracy": float((answers.argmax(axis=1) == truth).mean()),
    }


def _log_loss(answers: Floats, truth: NDArray[np.intp]) -> float:
    probabilities = np.clip(answers, _LEAST_PROBABILITY, 1.0)
    of_truth = probabilities[np.arange(len(truth)), truth] / probabilities.sum(axis=1)
    return float(-np.log(of_truth).mean())
