"""Steps of least squares without a record of each: thousands of small fits make a search."""

import copy
import math

import torch

from kan_model import KAN
from training.data.samples import Samples
from training.fitting.least_squares import LevenbergMarquardt


def descend(kan: KAN, train: Samples, steps: int, judges: Samples | None = None) -> tuple[KAN, float]:
    """The network after some Levenberg–Marquardt steps, each of which lowers the error on the training rows.

    Args:
        kan: The network, in float64; it is not changed.
        train: The training rows.
        steps: The most steps.
        judges: Rows that choose the best step; None: the last one is the best.

    Returns:
        The network, and its root mean square error on the rows that choose; infinity if it has no finite answer.

    Raises:
        FitRefused: more than 4096 parameters.
    """
    network = copy.deepcopy(kan)
    optimizer = LevenbergMarquardt(network, train, "regression")
    lowest, best = math.inf, [part.detach().clone() for part in network.parameters()]
    for step in range(steps + 1):
        if judges is not None and (found := error(network, judges)) < lowest:
            lowest, best = found, [part.detach().clone() for part in network.parameters()]
        if step == steps or optimizer.advance((0, step)).at_end:
            break
    if judges is None:
        return network, error(network, train)
    with torch.no_grad():
        for part, values in zip(network.parameters(), best, strict=True):
            part.copy_(values)
    return network, lowest


def error(kan: KAN, samples: Samples) -> float:
    """Root mean square error; infinity in place of NaN."""
    with torch.no_grad():
        found = float((kan(samples.x) - samples.y).square().mean().sqrt())
    return found if math.isfinite(found) else math.inf
