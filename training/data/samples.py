"""Samples: inputs and targets as the network uses them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kan_model import KAN
from training.data.objective import Task
from training.errors import FitRefused


@dataclass(frozen=True)
class Samples:
    """Inputs and targets as the network uses them.

    Attributes:
        x: ``[rows, inputs]``, imputed and scaled.
        y: int64 ``[rows]`` classes, or ``[rows, outputs]`` scaled targets.
    """

    x: Tensor
    y: Tensor


def check_samples(network: nn.Module, samples: Samples, task: Task, which: str) -> None:
    """Refuse samples that a network cannot be fitted to.

    Args:
        network: A KAN is checked for its width and type, any other module only for its type.
        samples: Rows and targets.
        task: The kind of targets.
        which: Name of the samples in messages, such as "training".

    Raises:
        FitRefused: no rows; numbers that are not finite or not of the network's type; classes that are no int64 from 0
            on; shapes that do not fit together or to the network.
    """
    x, y = samples.x, samples.y
    inputs, outputs = (network.width[0], network.width[-1]) if isinstance(network, KAN) else (None, None)
    if x.ndim != 2 or len(x) == 0 or inputs not in (None, x.shape[1]):
        raise FitRefused(f"the {which} rows have shape {tuple(x.shape)}; wanted [1 or more, {inputs or 'inputs'}]")
    shape = (len(x),) if task == "classification" else (len(x), outputs or y.shape[-1])
    if tuple(y.shape) != shape:
        raise FitRefused(f"the {which} targets have shape {tuple(y.shape)}; wanted {shape} for {task}")
    dtype = next(network.parameters()).dtype
    for what, values in (("rows", x), ("targets", y)) if task == "regression" else (("rows", x),):
        if values.dtype != dtype:
            raise FitRefused(f"the {which} {what} are of {values.dtype}; wanted {dtype}, the network's type")
        bad = ~torch.isfinite(values).all(dim=1)
        if bad.any():
            raise FitRefused(
                f"{int(bad.sum())} of {len(x)} {which} {what} hold NaN or an infinity, row {int(bad.nonzero()[0])} "
                "first; wanted finite numbers: leave such rows out or fill them"
            )
    if task == "classification" and (y.dtype != torch.int64 or y.min() < 0 or y.max() >= (outputs or torch.inf)):
        raise FitRefused(
            f"the {which} classes are {y.dtype} from {y.min()} to {y.max()}; wanted int64 from 0 to "
            f"{'the number of outputs - 1' if outputs is None else outputs - 1}"
        )
