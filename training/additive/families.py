"""What an additive model is fitted to: numbers, classes, counts or amounts, each as weighted least squares of a step.

Around scores η the loss of a row is about ½·w·(z − η)² with a weight w and a working target z. One such step after the
other is Newton's method (iteratively reweighted least squares).

Source: McCullagh and Nelder, Generalized Linear Models (1989), section 2.5.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from training.additive.criterion import Score

# The least weight of a row whose class is certain: a working target is at most its inverse away.
_LEAST_WEIGHT = 1e-4
# Scores of counts and amounts, logarithms relative to the mean: exp of more is no number of a table.
_LARGEST_LOG = 50.0


@dataclass(frozen=True)
class Family:
    """A loss and its quadratic approximation.

    Attributes:
        score: What chooses the λs of a step.
        is_quadratic: Whether one step is the whole fit.
        losses: From scores ``[rows, outputs]`` and targets ``[rows, outputs]`` to the loss of each row, half of it for
            squares.
        working: From scores, targets and the number of an output to its working targets and weights, ``[rows]`` each.
    """

    score: Score
    is_quadratic: bool
    losses: Callable[[Tensor, Tensor], Tensor]
    working: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def _working_square(_: Tensor, y: Tensor, output: int) -> tuple[Tensor, Tensor]:
    return y[:, output], torch.ones_like(y[:, output])


def _working_logit(scores: Tensor, y: Tensor, output: int) -> tuple[Tensor, Tensor]:
    return _working_probability(scores[:, output], scores[:, output].sigmoid(), y[:, output])


def _working_softmax(scores: Tensor, y: Tensor, output: int) -> tuple[Tensor, Tensor]:
    """The other classes' scores stay as they are: the classes take turns."""
    return _working_probability(scores[:, output], scores.softmax(dim=1)[:, output], y[:, output])


def _working_probability(scores: Tensor, p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    weights = (p * (1 - p)).clamp(min=_LEAST_WEIGHT)
    return scores + (y - p) / weights, weights


def _working_count(scores: Tensor, y: Tensor, output: int) -> tuple[Tensor, Tensor]:
    log = scores[:, output].clamp(-_LARGEST_LOG, _LARGEST_LOG)
    weights = log.exp().clamp(min=_LEAST_WEIGHT)
    return log + (y[:, output] - log.exp()) / weights, weights


def _working_amount(scores: Tensor, y: Tensor, output: int) -> tuple[Tensor, Tensor]:
    log = scores[:, output].clamp(-_LARGEST_LOG, _LARGEST_LOG)
    return log + y[:, output] / log.exp() - 1, torch.ones_like(log)


SQUARES = Family("gcv", True, lambda scores, y: (scores - y).square().sum(dim=1) / 2, _working_square)
TWO_CLASSES = Family("ubre", False, lambda scores, y: (softplus(scores) - y * scores).sum(dim=1), _working_logit)
CLASSES = Family("ubre", False, lambda scores, y: cross_entropy(scores, y, reduction="none"), _working_softmax)
COUNTS = Family("gcv", False, lambda scores, y: (scores.exp() - y * scores).sum(dim=1), _working_count)
AMOUNTS = Family("gcv", False, lambda scores, y: (scores + y * (-scores).exp()).sum(dim=1), _working_amount)
