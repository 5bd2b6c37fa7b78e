"""The loss that a regression was fitted to, as the manifest names it among its metrics, block by block."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import Objective

Numbers = NDArray[np.float64]
# Float32 may round a small answer to 0, which has no logarithm.
_TINY = float(np.finfo(np.float32).tiny)


class ObjectiveLoss:
    """The mean of a loss over rows.

    Args:
        name: as people read it: "MAE" for the manifest's "mae".
        losses: gives the loss of each row, from the true values and the answers, each [rows].
        wanted: the true values that the loss allows, for messages; "" for any.
        allows: gives whether the loss allows each true value, [rows].
        finish: turns the mean loss into the number that is shown.
    """

    def __init__(
        self,
        name: str,
        losses: Callable[[Numbers, Numbers], Numbers],
        wanted: str = "",
        allows: Callable[[Numbers], NDArray[np.bool_]] = lambda truth: np.ones(len(truth), dtype=bool),
        finish: Callable[[float], float] = lambda mean: mean,
    ) -> None:
        self.name = name
        self._losses, self._wanted, self._allows, self._finish = losses, wanted, allows, finish
        self._rows = self._refused = 0
        self._sum = 0.0

    def add(self, truth: Numbers, answers: Numbers) -> None:
        """Add rows, each with a true value."""
        allowed = self._allows(truth)
        self._refused += int(np.count_nonzero(~allowed))
        self._rows += int(np.count_nonzero(allowed))
        with np.errstate(all="ignore"):  # an answer may be infinite or NaN, and then the loss is too
            self._sum += float(self._losses(truth[allowed], answers[allowed]).sum())

    def summary(self) -> str:
        """The loss as text; needs a row."""
        if self._refused:
            values = "1 true value is" if self._refused == 1 else f"{self._refused} true values are"
            return f"{self.name} undefined ({values} not {self._wanted})"
        return f"{self.name} {self._finish(self._sum / self._rows):.6g}"


def loss_of(objective: Objective) -> ObjectiveLoss | None:
    """The loss of an objective; None for squared error, whose metric is RMSE, and for a quantile.

    On a log scale huber's delta is an error of logarithms, so errors in the unit of the target have no huber loss: like
    squared error it gets log RMSE.
    """
    if objective.target_scale == "log" and objective.loss in ("", "squared_error", "huber"):
        return ObjectiveLoss("log RMSE", _logarithms, "above 0", lambda truth: truth > 0, np.sqrt)
    match objective.loss:
        case "mae":
            return ObjectiveLoss("MAE", lambda truth, answers: np.abs(answers - truth))
        case "huber":
            delta = objective.huber_delta
            return ObjectiveLoss("huber loss", lambda truth, answers: _huber(np.abs(answers - truth), delta))
        case "poisson":
            return ObjectiveLoss("poisson deviance", _poisson, "0 or more", lambda truth: truth >= 0)
        case "gamma":
            return ObjectiveLoss("gamma deviance", _gamma, "above 0", lambda truth: truth > 0)
        case _:
            return None


def _huber(sizes: Numbers, delta: float) -> Numbers:
    losses: Numbers = np.where(sizes <= delta, np.square(sizes), delta * (2 * sizes - delta))
    return losses


def _poisson(truth: Numbers, answers: Numbers) -> Numbers:
    answers = np.maximum(answers, _TINY)
    # x·log x is 0 at 0.
    logarithms = np.log(np.where(truth > 0, truth, 1.0) / np.where(truth > 0, answers, 1.0))
    return 2 * (truth * logarithms - truth + answers)


def _gamma(truth: Numbers, answers: Numbers) -> Numbers:
    shares = truth / np.maximum(answers, _TINY)
    return 2 * (shares - 1 - np.log(shares))


def _logarithms(truth: Numbers, answers: Numbers) -> Numbers:
    losses: Numbers = np.square(np.log(np.maximum(answers, _TINY)) - np.log(truth))
    return losses
