"""Which loss training minimizes.

:mod:`training.data.objective.loss` computes it. This module does without torch, which takes seconds to import.

Each loss of a regression has an answer that is the best constant, and so tells what a fitted model answers:

| loss | of an answer f to a target y | best constant |
|---|---|---|
| squared_error | (f − y)² | the mean |
| huber | (f − y)², beyond δ 2δ·abs(f − y) − δ² | between mean and median |
| mae | abs(f − y) | the median |
| quantile | q·(y − f) if f is below y, else (1 − q)·(f − y) | the quantile q |
| poisson | 2·(y·log y − y·f − y + exp f) | the mean, f its logarithm |
| gamma | 2·(y·exp(−f) − 1 − log y + f) | the mean, f its logarithm |

The last two are the deviances of the two distributions with a log link: the network gives the logarithm of its answer.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from training.recipe.sections import ObjectiveName, TaskSection

Task = Literal["classification", "regression"]
METRIC: dict[Task, str] = {"classification": "accuracy", "regression": "R²"}


@dataclass(frozen=True)
class LossFunction:
    """A loss and its numbers.

    Attributes:
        name: Which loss; "cross_entropy" is that of a classification.
        quantile: For "quantile": the share of rows whose target is below the answer.
        delta: For "huber", of each output or of all: the error above which it counts linearly. In the unit of the
            targets that the loss is computed with.
    """

    name: ObjectiveName | Literal["cross_entropy"]
    quantile: float = 0.5
    delta: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, section: TaskSection) -> Self:
        """The loss that a recipe asks for, in the unit of the target."""
        name = "cross_entropy" if section.kind == "classification" else section.objective
        quantile = 0.5 if section.quantile is None else section.quantile
        return cls(name, quantile, (1.0 if section.huber_delta is None else section.huber_delta,))

    @property
    def task(self) -> Task:
        """The kind of targets."""
        return "classification" if self.name == "cross_entropy" else "regression"

    @property
    def has_log_link(self) -> bool:
        """Whether the network gives the logarithm of its answer."""
        return self.name in ("poisson", "gamma")

    @property
    def metric(self) -> str:
        """Name of :func:`score` for people."""
        return METRIC[self.task] if self.name in ("cross_entropy", "squared_error") else "D²"

    def in_units(self, scale: NDArray[np.floating[Any]]) -> "LossFunction":
        """The same loss for targets that are divided by ``scale`` [outputs]."""
        if self.name != "huber":
            return self
        delta = np.array(self.delta) / scale.astype(np.float64)
        return replace(self, delta=tuple(delta.tolist()))


# A task stands for its usual loss.
Loss = Task | LossFunction


def loss_function(task: Loss) -> LossFunction:
    """The loss of a task: cross entropy for a classification, squared error for a regression."""
    if isinstance(task, LossFunction):
        return task
    return LossFunction("cross_entropy" if task == "classification" else "squared_error")
