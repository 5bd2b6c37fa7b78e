"""An MLP that solves Poisson's equation, by LBFGS on the same loss."""

import math
import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from benchmarks.paper.experiments.poisson.problem import Points, errors, judging_points

# Linear layers, as the paper's.
DEPTH = 4
_ITERATIONS = 20


def mlp_of(parameters: int, seed: int) -> nn.Sequential:
    """An MLP of four linear layers and tanh between them, with about this number of parameters."""
    # 2·(w² + w) + 3·w + w + 1 = parameters.
    width = max(1, round((math.sqrt(36 + 8 * (parameters - 1)) - 6) / 4))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [2, *[width] * (DEPTH - 1), 1]
        linear = [nn.Linear(widths[n], widths[n + 1], dtype=torch.float64) for n in range(DEPTH)]
    return nn.Sequential(*[part for each in linear[:-1] for part in (each, nn.Tanh())], linear[-1])


def derivatives(network: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Answers ``[points, 1]``, gradients ``[points, 2]`` and Laplacians ``[points, 1]``, by the chain rule.

    They go forward beside the values, which takes a fraction of the time of two backward passes. torch differentiates
    the result by the parameters.
    """
    values, laplacians = x, torch.zeros_like(x)
    # [inputs, points, nodes].
    gradients = torch.eye(2, dtype=x.dtype)[:, None].expand(-1, len(x), -1)
    for part in network:
        if isinstance(part, nn.Linear):
            values, gradients, laplacians = part(values), gradients @ part.weight.T, laplacians @ part.weight.T
        else:
            values = torch.tanh(values)
            slope = 1 - values.square()
            laplacians = slope * (laplacians - 2 * values * gradients.square().sum(dim=0))
            gradients = slope * gradients
    return values, gradients[..., 0].T, laplacians


def loss(network: nn.Sequential, points: Points) -> Tensor:
    """0.01 · mean (Δu − f)² + mean u² on the boundary."""
    return points.residuals(derivatives(network, points.interior)[2], network(points.boundary)).square().sum()


def solve(points: Points, parameters: int, seed: int, cpu_seconds: float) -> tuple[nn.Sequential, int]:
    """Train an MLP for some seconds of processor time, or until LBFGS finds no lower loss; and its iterations."""
    network = mlp_of(parameters, seed)
    began, iterations, last = time.process_time(), 0, math.inf
    steps = descend(network, points)
    while time.process_time() - began < cpu_seconds:
        now = next(steps)
        iterations += _ITERATIONS
        if not now < last:
            break
        last = now
    return network, iterations


def descend(network: nn.Sequential, points: Points) -> Iterator[float]:
    """The loss before each twenty iterations of LBFGS, without end; the network is changed."""
    optimizer = torch.optim.LBFGS(
        network.parameters(),
        max_iter=_ITERATIONS,
        history_size=50,
        line_search_fn="strong_wolfe",
        tolerance_change=0,
        tolerance_grad=0,
    )

    def closure() -> float:
        optimizer.zero_grad()
        found = loss(network, points)
        found.backward()  # type: ignore[no-untyped-call]
        return float(found.detach())

    while True:
        yield float(optimizer.step(closure))  # type: ignore[no-untyped-call]


def numbers(network: nn.Sequential) -> Mapping[str, float]:
    """Errors on the test points."""
    x = judging_points()
    with torch.no_grad():
        values, gradients, _ = derivatives(network, x)
    found = errors(values, gradients, x)
    return found | {"parameters": float(sum(each.numel() for each in network.parameters()))}
