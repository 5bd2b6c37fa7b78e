"""Samples: inputs and targets as the network uses them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kan_model import KAN
from training.data.objective.loss_function import Loss, loss_function
from training.errors import FitRefused


@dataclass(frozen=True)
class Samples:
    """Inputs and targets as the network uses them.

    Attributes:
        x: ``[rows, inputs]``, imputed and scaled.
        y: int64 ``[rows]`` classes, or ``[rows, outputs]`` scaled targets.
        weights: ``[rows]``, 0 or more, with a mean of 1; None: all rows count alike.
    """

    x: Tensor
    y: Tensor
    weights: Tensor | None = None

    def take(self, rows: Tensor) -> "Samples":
        """Some of the rows, by their numbers; their weights stay as they are."""
        return Samples(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])


def check_samples(network: nn.Module, samples: Samples, task: Loss, which: str) -> None:
    """Refuse samples that a network cannot be fitted to.

    Args:
        network: A KAN is checked for its width and type, any other module only for its type.
        samples: Rows and targets.
        task: The kind of targets.
        which: Name of the samples in messages, such as "training".

    Raises:
        FitRefused: no rows; numbers that are not finite or not of the network's type; classes that are no int64 from 0
            on; shapes that do not fit together or to the network; weights that are negative or all 0.
    """
    check_rows(network, samples.x, which)
    task = loss_function(task).task
    y, rows = samples.y, len(samples.x)
    outputs = network.width[-1] if isinstance(network, KAN) else None
    shape = (rows,) if task == "classification" else (rows, outputs or y.shape[-1])
    if tuple(y.shape) != shape:
        raise FitRefused(f"the {which} targets have shape {tuple(y.shape)}; wanted {shape} for {task}")
    if task == "regression":
        _check_values(network, y, f"{which} targets")
    elif y.dtype != torch.int64 or y.min() < 0 or y.max() >= (outputs or torch.inf):
        raise FitRefused(
            f"the {which} classes are {y.dtype} from {y.min()} to {y.max()}; wanted int64 from 0 to "
            f"{'the number of outputs - 1' if outputs is None else outputs - 1}"
        )
    if samples.weights is not None:
        _check_weights(network, samples.weights, rows, which)


def check_rows(network: nn.Module, x: Tensor, which: str) -> None:
    """Refuse rows without targets as :func:`check_samples` does."""
    inputs = network.width[0] if isinstance(network, KAN) else None
    if x.ndim != 2 or len(x) == 0 or inputs not in (None, x.shape[1]):
        raise FitRefused(f"the {which} rows have shape {tuple(x.shape)}; wanted [1 or more, {inputs or 'inputs'}]")
    _check_values(network, x, f"{which} rows")


def _check_weights(network: nn.Module, weights: Tensor, rows: int, which: str) -> None:
    if tuple(weights.shape) != (rows,):
        raise FitRefused(f"the {which} weights have shape {tuple(weights.shape)}; wanted {(rows,)}")
    _check_values(network, weights[:, None], f"{which} weights")
    if weights.min() < 0 or weights.max() == 0:
        raise FitRefused(
            f"the {which} weights are from {weights.min():g} to {weights.max():g}; wanted 0 or more, and one above 0"
        )


def _check_values(network: nn.Module, values: Tensor, what: str) -> None:
    dtype = next(network.parameters()).dtype
    if values.dtype != dtype:
        raise FitRefused(f"the {what} are of {values.dtype}; wanted {dtype}, the network's type")
    bad = ~torch.isfinite(values).all(dim=1)
    if bad.any():
        raise FitRefused(
            f"{int(bad.sum())} of {len(values)} {what} are not finite in {dtype}, row {int(bad.nonzero()[0])} first; "
            "wanted finite numbers: leave such rows out or fill them"
        )
