"""A step of a fit, and a look at the network after it."""

import math
from dataclasses import dataclass

from torch import nn

from training.data.objective import Task, loss, score
from training.data.samples import Samples
from training.fitting.evaluation import answers


@dataclass(frozen=True)
class Advance:
    """What an optimizer did.

    Attributes:
        step: Steps then done on this grid.
        train_loss: Without any price of edges.
        at_end: No further step would lower the loss.
    """

    step: int
    train_loss: float
    at_end: bool = False


@dataclass(frozen=True)
class Record:
    """One line of the loss curve, after ``step`` steps on this grid (0 where the network has none).

    Under Adam the training loss is the mean over the epoch's batches, as they came.
    """

    grid_size: int
    step: int
    train_loss: float
    validation_loss: float
    validation_score: float


def evaluate(
    network: nn.Module, place: tuple[int, int], train_loss: float, validation: Samples, task: Task
) -> Record | None:
    """Look at the validation rows at ``place`` (grid size, step); None where a number is not finite."""
    outputs = answers(network, validation.x)
    validation_loss = float(loss(task, outputs, validation.y))
    if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
        return None
    return Record(*place, train_loss, validation_loss, score(task, outputs, validation.y))
