"""The baseline: a plain MLP with as many parameters as a KAN, trained by the same loop on the same rows."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from kan_model import KAN, parameter_count
from training.data.objective.loss import loss, score
from training.data.objective.loss_function import Loss
from training.data.samples import Samples, check_samples
from training.fitting.evaluation import answers
from training.fitting.fit import fit_module
from training.fitting.record import Record
from training.recipe.fit_sections import FitSection

Activation = Literal["silu", "relu"]
# The number of parameters may differ from the KAN's by this share, so that hidden layers can have the same width.
_NEAR = 0.05


@dataclass(frozen=True)
class Baseline:
    """A trained MLP and its scores.

    Attributes:
        network: The MLP.
        parameters: Number of its parameters.
        loss: Mean loss on the judging rows.
        score: Accuracy or R² on the judging rows.
        history: One record per evaluation on the validation rows, the first before any step; grid sizes are 0.
    """

    network: nn.Sequential
    parameters: int
    loss: float
    score: float
    history: tuple[Record, ...]


def fit_baseline(
    kan: KAN,
    train: Samples,
    validation: Samples,
    plan: FitSection,
    task: Loss,
    *,
    judging: Samples | None = None,
    depth: int = 2,
    activation: Activation = "silu",
    check: Callable[[], None] | None = None,
) -> Baseline:
    """Train an MLP of the KAN's size as :func:`training.fitting.fit.fit` trains the KAN.

    Optimizer, learning rate, batches, seed and the choice by validation rows are the same. An MLP has no grid, so it
    gets the steps of all the plan's grids at once. The same seed gives the same network.

    Args:
        kan: The MLP gets its inputs, outputs, type and number of parameters.
        train: Training rows, in the KAN's type.
        validation: Rows that choose the best network.
        plan: The plan of the KAN's fit.
        task: The loss to minimize.
        judging: Rows for ``loss`` and ``score``; None: the validation rows.
        depth: Number of hidden layers, 1 or 2.
        activation: Activation of the hidden nodes.
        check: Called after each evaluation; it may raise to end the fit.

    Raises:
        ValueError: as :func:`mlp_like`, or samples that :func:`training.data.samples.check_samples` refuses.
        TrainingDiverged: the loss is not finite before the first step.
    """
    check_samples(kan, train, task, "training")
    check_samples(kan, validation, task, "validation")
    network = mlp_like(kan, depth, activation=activation, seed=plan.seed)
    whole = plan.model_copy(update={"steps": plan.steps * len(plan.grids)})
    found = fit_module(network, train, validation, whole, task, check)
    judging = validation if judging is None else judging
    outputs = answers(found.best, judging.x)
    return Baseline(
        found.best,
        parameter_count(found.best),
        float(loss(task, outputs, judging.y, judging.weights)),
        score(task, outputs, judging.y, judging.weights),
        found.history,
    )


def mlp_like(kan: KAN, depth: int = 2, *, activation: Activation = "silu", seed: int = 0) -> nn.Sequential:
    """An MLP with the KAN's inputs, outputs and type, and about its number of parameters.

    The number is within 5 % if whole numbers of nodes allow it, with hidden layers as equal in width as possible.
    Otherwise it is the closest possible. Weights have the distribution of PyTorch's ``Linear``; the global generator is
    not used.

    Args:
        kan: The network; :func:`kan_model.parameter_count` gives its size.
        depth: Number of hidden layers, 1 or 2.
        activation: Activation of the hidden nodes.
        seed: The same seed gives the same weights.

    Raises:
        ValueError: another depth or activation.
    """
    if activation not in ("silu", "relu"):
        raise ValueError(f'activation is {activation!r}; wanted "silu" or "relu"')
    if depth not in (1, 2):
        raise ValueError(f"depth is {depth}; wanted 1 or 2 hidden layers")
    wanted, inputs, outputs = parameter_count(kan), kan.width[0], kan.width[-1]
    hidden = _two_widths(wanted, inputs, outputs) if depth == 2 else (_one_width(wanted, inputs, outputs),)
    generator = torch.Generator().manual_seed(seed)
    widths = (inputs, *hidden, outputs)
    modules: list[nn.Module] = []
    for reads, feeds in itertools.pairwise(widths):
        if modules:
            modules.append(nn.SiLU() if activation == "silu" else nn.ReLU())
        modules.append(_linear(reads, feeds, generator, kan.dtype))
    return nn.Sequential(*modules).to(kan.layers[0].base_weight.device)


def _one_width(wanted: int, inputs: int, outputs: int) -> int:
    return max(1, round((wanted - outputs) / (inputs + 1 + outputs)))


def _two_widths(wanted: int, inputs: int, outputs: int) -> tuple[int, int]:
    """Widths of two hidden layers: of the pairs within 5 % the most equal one, else the nearest pair."""
    # With equal widths: width² + (inputs + 2 + outputs)·width + outputs = wanted.
    half = (inputs + 2 + outputs) / 2
    equal = math.sqrt(half**2 + max(0, wanted - outputs)) - half

    def rank(widths: tuple[int, int]) -> tuple[bool, float, float]:
        first, second = widths
        count = first * (inputs + 1) + second * (first + 1) + outputs * (second + 1)
        error = abs(count - wanted) / wanted
        apart = float(abs(first - second))
        return (False, apart, error) if error <= _NEAR else (True, error, apart)

    pairs = []
    for first in range(1, 2 * math.ceil(equal) + 2):
        least, exact, most = (
            (share * wanted - outputs - first * (inputs + 1)) / (first + 1 + outputs)
            for share in (1 - _NEAR, 1, 1 + _NEAR)
        )
        likest = min(max(first, math.ceil(least)), math.floor(most))
        pairs += [(first, max(1, second)) for second in (likest, round(exact))]
    return min(pairs, key=rank)


def _linear(reads: int, feeds: int, generator: torch.Generator, dtype: torch.dtype) -> nn.Linear:
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, reads, feeds, dtype=dtype)  # type: ignore[no-untyped-call]
    bound = 1 / math.sqrt(reads)
    with torch.no_grad():
        for parameter in (linear.weight, linear.bias):
            draws = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_((2 * draws - 1) * bound)
    return linear
