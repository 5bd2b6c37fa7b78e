"""MLPs beside a KAN: of equal parameters, or of equal processor time."""

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from benchmarks.paper.fits.points import Points, scaled_rmse
from kan_model import parameter_count
from training.fitting.fit import fit_module
from training.recipe.fit_sections import FitSection

Activation = Literal["tanh", "silu"]
ACTIVATIONS: tuple[Activation, ...] = ("tanh", "silu")
_MODULES = {"tanh": nn.Tanh, "silu": nn.SiLU}
# Above this a step of Levenberg–Marquardt takes longer than the steps of LBFGS that gain as much.
_MOST_BY_LEVENBERG_MARQUARDT = 700
_LBFGS_STEPS = 4
# Of the time for an MLP of equal time, the share in which its shape is chosen.
_CHOOSING = 0.5
_CHUNK = 10
_TIMED_HIDDEN = ((12, 12), (24, 24), (10, 10, 10))


@dataclass(frozen=True)
class MLPFit:
    """A trained MLP; errors in standard deviations of the target.

    Attributes:
        network: The network.
        parameters: Number of trainable numbers.
        validation: RMSE on the validation points.
        test: RMSE on the test points.
    """

    network: nn.Sequential
    parameters: int
    validation: float
    test: float


def new_mlp(inputs: int, hidden: Sequence[int], activation: Activation, seed: int) -> nn.Sequential:
    """An MLP of one output in float64 with PyTorch's start; the global generator stays as it is.

    Args:
        inputs: Number of variables.
        hidden: Nodes of each hidden layer.
        activation: Of the hidden nodes.
        seed: The same seed gives the same weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules: list[nn.Module] = []
        for reads, feeds in itertools.pairwise((inputs, *hidden)):
            modules += [nn.Linear(reads, feeds, dtype=torch.float64), _MODULES[activation]()]
        return nn.Sequential(*modules, nn.Linear(hidden[-1], 1, dtype=torch.float64))


def hidden_for(inputs: int, layers: int, parameters: int) -> tuple[int, ...]:
    """Hidden layers of equal width whose number of parameters is nearest to ``parameters``.

    A width w gives w·(inputs + 1) + (layers − 1)·w·(w + 1) + w + 1 parameters.
    """

    def count(width: int) -> int:
        return width * (inputs + 1) + (layers - 1) * width * (width + 1) + width + 1

    most = max(2, math.ceil(parameters / (inputs + 2)) + 1)
    width = min(range(1, most + 1), key=lambda each: abs(count(each) - parameters))
    return (width,) * layers


def fit_mlp(points: Points, network: nn.Sequential, steps: int) -> MLPFit:
    """Levenberg–Marquardt for so many steps; above 700 parameters LBFGS, with four times as many iterations."""
    if parameter_count(network) <= _MOST_BY_LEVENBERG_MARQUARDT:
        plan = FitSection(optimizer="levenberg-marquardt", steps=steps)
    else:
        plan = FitSection(optimizer="lbfgs", steps=_LBFGS_STEPS * steps)
    return _fitted(points, network, plan)


def equal_parameters(points: Points, parameters: int, seed: int, steps: int = 30) -> MLPFit:
    """The best by validation of one to three hidden layers and two activations, trained to its end.

    Each gets ``steps``. The best goes on with three times as many, and with four times as many of LBFGS.
    """
    found = [
        fit_mlp(points, new_mlp(points.inputs, hidden_for(points.inputs, layers, parameters), activation, seed), steps)
        for layers in (1, 2, 3)
        for activation in ACTIVATIONS
    ]
    best = _best(found)
    lbfgs = FitSection(optimizer="lbfgs", steps=_LBFGS_STEPS * steps)
    return _best([best, fit_mlp(points, best.network, 3 * steps), _fitted(points, best.network, lbfgs)])


def equal_seconds(points: Points, seconds: float, seed: int) -> MLPFit:
    """The best by validation that so many seconds of processor time give.

    Half of the time goes evenly to three shapes with two activations, the rest to the best of them. A network that
    finds no lower loss starts again from another seed.
    """
    begin = time.process_time()
    candidates = list(itertools.product(_TIMED_HIDDEN, ACTIVATIONS))
    found = []
    for number, (hidden, activation) in enumerate(candidates, start=1):
        until = begin + _CHOOSING * seconds * number / len(candidates)
        found.append(_until(points, new_mlp(points.inputs, hidden, activation, seed), until))
    best = _best(found)
    hidden, activation = candidates[found.index(best)]
    best, restarts = _until(points, best.network, begin + seconds), 0
    while time.process_time() < begin + seconds:
        restarts += 1
        again = new_mlp(points.inputs, hidden, activation, seed + 1000 * restarts)
        best = _best([best, _until(points, again, begin + seconds)])
    return best


def _until(points: Points, network: nn.Sequential, until: float) -> MLPFit:
    """Steps until a moment of processor time, or until they bring no lower validation error; at least some."""
    best = fit_mlp(points, network, _CHUNK)
    while time.process_time() < until:
        further = fit_mlp(points, best.network, _CHUNK)
        if not further.validation < best.validation:
            break
        best = further
    return best


def _fitted(points: Points, network: nn.Sequential, plan: FitSection) -> MLPFit:
    best = fit_module(network, points.train, points.validation, plan, "regression").best
    errors = (scaled_rmse(best, rows) for rows in (points.validation, points.test))
    return MLPFit(best, parameter_count(best), *errors)


def _best(fits: Sequence[MLPFit]) -> MLPFit:
    return min(fits, key=lambda each: each.validation)
