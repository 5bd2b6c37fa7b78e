"""The loss that training minimizes, and the metric that people read."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

Task = Literal["classification", "regression"]
METRIC: dict[Task, str] = {"classification": "accuracy", "regression": "R²"}


def loss(task: Task, outputs: Tensor, y: Tensor) -> Tensor:
    """Mean loss over rows: cross entropy of logits, or squared error in units of the scaled target.

    Args:
        task: Classification: cross entropy. Regression: squared error.
        outputs: ``[rows, outputs]``, the network's outputs before any transform.
        y: int64 ``[rows]`` classes, or ``[rows, outputs]`` scaled targets.
    """
    return cross_entropy(outputs, y) if task == "classification" else mse_loss(outputs, y)


def score(task: Task, outputs: Tensor, y: Tensor) -> float:
    """Accuracy, the share of rows with the right class; or R², the share of variance explained. Higher is better."""
    if task == "classification":
        return float((outputs.argmax(dim=1) == y).double().mean())
    variance = torch.var(y, correction=0)
    return float(1 - mse_loss(outputs, y) / variance) if variance > 0 else float("nan")
