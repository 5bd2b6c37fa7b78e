"""The results of a step of a fit, and of the evaluation after it."""

import math
from dataclasses import dataclass

from torch import nn

from kan_model import KAN
from training.data.objective.loss import loss, score
from training.data.objective.loss_function import Loss
from training.data.samples import Samples
from training.fitting.evaluation import answers


@dataclass(frozen=True)
class Advance:
    """The result of an advance of an optimizer.

    Attributes:
        step: Number of steps done on this grid.
        train_loss: Training loss without the penalty on edges.
        at_end: True if no further step would lower the loss.
    """

    step: int
    train_loss: float
    at_end: bool = False


@dataclass(frozen=True)
class Record:
    """One point of the loss curve, after ``step`` steps on this grid (``grid_size`` 0: the network has no grid).

    With Adam the training loss is the mean over the epoch's batches, each before its step. It is of smoothed labels and
    of changed images where the fit has them; the validation loss never is.
    """

    grid_size: int
    step: int
    train_loss: float
    validation_loss: float
    validation_score: float


def evaluate(network: nn.Module, step: int, train_loss: float, validation: Samples, task: Loss) -> Record | None:
    """Evaluate the network on the validation rows after ``step`` steps on its grid; None if a loss is not finite."""
    outputs = answers(network, validation.x)
    validation_loss = float(loss(task, outputs, validation.y, validation.weights))
    if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
        return None
    grid_size = network.layers[0].grid_size if isinstance(network, KAN) else 0
    return Record(grid_size, step, train_loss, validation_loss, score(task, outputs, validation.y, validation.weights))
