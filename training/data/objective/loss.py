"""The losses that training minimizes, computed by torch, and the metric that people read."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from training.data.objective.loss_function import Loss, LossFunction, loss_function

# The best constant of the Huber loss is found by so many reweighted means; it is exact to many digits after 20.
_HUBER_STEPS = 50


def loss(
    task: Loss, outputs: Tensor, y: Tensor, weights: Tensor | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Mean loss over rows and outputs.

    Args:
        task: Classification: cross entropy. Regression: squared error. Or another loss.
        outputs: ``[rows, outputs]``, the network's outputs before any transform.
        y: int64 ``[rows]`` classes, or ``[rows, outputs]`` scaled targets; with a log link they are not logarithms.
        weights: ``[rows]``, a factor of the loss of each row; None: all 1. With a mean of 1 over all rows the mean of
            the losses of batches is the loss of all rows.
        label_smoothing: Of a cross entropy: the share of the target that all classes get alike.
    """
    function = loss_function(task)
    if weights is None and function.name in ("cross_entropy", "squared_error"):
        is_entropy = function.name == "cross_entropy"
        return cross_entropy(outputs, y, label_smoothing=label_smoothing) if is_entropy else mse_loss(outputs, y)
    if function.name == "cross_entropy":
        each = cross_entropy(outputs, y, reduction="none", label_smoothing=label_smoothing)
    else:
        each = _losses(function, outputs, y).mean(dim=1)
    return each.mean() if weights is None else (weights * each).mean()


def score(task: Loss, outputs: Tensor, y: Tensor, weights: Tensor | None = None) -> float:
    """Accuracy, the share of rows with the right class; or R², the share of variance explained. Higher is better.

    Of other losses D²: the share of the loss of the best constant that the answers do without. With weights a row
    counts as often as they say.
    """
    function = loss_function(task)
    if function.name == "cross_entropy":
        right = (outputs.argmax(dim=1) == y).double()
        return float(right.mean() if weights is None else (weights * right).sum() / weights.sum())
    if function.name != "squared_error":
        constant = loss(function, best_constant(function, y, weights).expand_as(y), y, weights)
        return float(1 - loss(function, outputs, y, weights) / constant) if constant > 0 else float("nan")
    if weights is None:
        variance = torch.var(y, correction=0)
        return float(1 - mse_loss(outputs, y) / variance) if variance > 0 else float("nan")
    share = weights[:, None] / weights.sum() / y.shape[1]
    variance = (share * (y - (share * y).sum()).square()).sum()
    return float(1 - (share * (outputs - y).square()).sum() / variance) if variance > 0 else float("nan")


def best_constant(task: Loss, y: Tensor, weights: Tensor | None = None) -> Tensor:
    """The outputs ``[outputs]`` of the best network that does not look at its inputs.

    Args:
        task: Regression, or one of its losses.
        y: ``[rows, outputs]``.
        weights: ``[rows]``; None: all 1.
    """
    function = loss_function(task)
    share = torch.ones_like(y[:, :1]) if weights is None else weights[:, None].to(y)
    share = share / share.sum()
    if function.name in ("mae", "quantile"):
        return _quantile(y, share[:, 0], function.quantile if function.name == "quantile" else 0.5)
    if function.name == "huber":
        delta = y.new_tensor(function.delta)
        center = _quantile(y, share[:, 0], 0.5)
        for _ in range(_HUBER_STEPS):
            pull = share * (delta / (y - center).abs()).clamp(max=1.0)
            center = (pull * y).sum(dim=0) / pull.sum(dim=0)
        return center
    mean = (share * y).sum(dim=0)
    return mean.log() if function.has_log_link else mean


def _losses(function: LossFunction, outputs: Tensor, y: Tensor) -> Tensor:
    """Each loss ``[rows, outputs]`` of a regression; 0 is the least."""
    match function.name:
        case "mae":
            return (outputs - y).abs()
        case "huber":
            delta, size = y.new_tensor(function.delta), (outputs - y).abs()
            return torch.where(size <= delta, size.square(), delta * (2 * size - delta))
        case "quantile":
            short = y - outputs
            return torch.maximum(function.quantile * short, (function.quantile - 1) * short)
        case "poisson":
            return 2 * (torch.xlogy(y, y) - y * outputs - y + outputs.exp())
        case "gamma":
            # expm1 keeps the digits of a small deviance.
            apart = y.log() - outputs
            return 2 * (torch.expm1(apart) - apart)
        case _:
            return (outputs - y).square()


def _quantile(y: Tensor, share: Tensor, quantile: float) -> Tensor:
    """The smallest value of each column so that at least ``quantile`` of the rows are not above it.

    Args:
        y: ``[rows, outputs]``.
        share: ``[rows]``, the weights.
        quantile: Between 0 and 1.
    """
    ordered, order = y.sort(dim=0)
    sums = share.double()[order].cumsum(dim=0)
    # Up to rounding of the sums. The last row always reaches it.
    reached = sums >= (quantile - 1e-12) * sums[-1]
    return ordered.gather(0, reached.int().argmax(dim=0, keepdim=True))[0]
