"""The loss that training minimizes, and the metric that people read."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

Task = Literal["classification", "regression"]
METRIC: dict[Task, str] = {"classification": "accuracy", "regression": "R²"}


def loss(task: Task, outputs: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean loss over rows: cross entropy of logits, or squared error in units of the scaled target.

    Args:
        task: Classification: cross entropy. Regression: squared error.
        outputs: ``[rows, outputs]``, the network's outputs before any transform.
        y: int64 ``[rows]`` classes, or ``[rows, outputs]`` scaled targets.
        weights: ``[rows]``, a factor of the loss of each row; None: all 1. With a mean of 1 over all rows the mean of
            the losses of batches is the loss of all rows.
    """
    if weights is None:
        return cross_entropy(outputs, y) if task == "classification" else mse_loss(outputs, y)
    if task == "classification":
        return (weights * cross_entropy(outputs, y, reduction="none")).mean()
    return (weights * (outputs - y).square().mean(dim=1)).mean()


def score(task: Task, outputs: Tensor, y: Tensor, weights: Tensor | None = None) -> float:
    """Accuracy, the share of rows with the right class; or R², the share of variance explained. Higher is better.

    With weights a row counts as often as they say.
    """
    if task == "classification":
        right = (outputs.argmax(dim=1) == y).double()
        return float(right.mean() if weights is None else (weights * right).sum() / weights.sum())
    if weights is None:
        variance = torch.var(y, correction=0)
        return float(1 - mse_loss(outputs, y) / variance) if variance > 0 else float("nan")
    share = weights[:, None] / weights.sum() / y.shape[1]
    variance = (share * (y - (share * y).sum()).square()).sum()
    return float(1 - (share * (outputs - y).square()).sum() / variance) if variance > 0 else float("nan")
