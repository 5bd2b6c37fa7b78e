"""MLPs of several sizes that share some seconds of processor time; the best one gets half of them."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from benchmarks.paper.experiments.poisson.mlp import derivatives, descend, loss, mlp_of
from benchmarks.paper.experiments.poisson.problem import Points

# Times the parameters of the KAN. A step of Levenberg–Marquardt takes 0.06 s at 417 parameters and 0.6 s at 1,737,
# where 20 steps are not enough.
BY_LEVENBERG_MARQUARDT, BY_LBFGS = (1, 2), (4, 16)
_CHOOSING = 0.5
_FIRST_DAMPING, _LESS, _MORE, _TRIES = 1e-2, 1 / 5, 4.0, 10


@dataclass(frozen=True)
class Fit:
    """A candidate and its training, which goes on as long as it is asked for more."""

    network: nn.Sequential
    steps: Iterator[float]


def solve_in_time(given: Points, judging: Points, parameters: int, seed: int, cpu_seconds: float) -> nn.Sequential:
    """The MLP of the lowest loss on other points that so many seconds of processor time give.

    Half of the time goes evenly to four candidates, the rest to the best of them; if that one finds no lower loss, to
    the next.

    Args:
        given: Points to learn from.
        judging: Points by whose loss the network is chosen; the solution is not known there.
        parameters: Those of the KAN.
        seed: Of the networks' starts.
        cpu_seconds: For all together.
    """
    began = time.process_time()
    fits = []
    for sizes, train in ((BY_LEVENBERG_MARQUARDT, levenberg_marquardt), (BY_LBFGS, descend)):
        for times in sizes:
            network = mlp_of(times * parameters, seed)
            fits.append(Fit(network, train(network, given)))

    def judged(fit: Fit) -> float:
        return float(loss(fit.network, judging).detach())

    for number, fit in enumerate(fits, start=1):
        _go_on(fit, began + _CHOOSING * cpu_seconds * number / len(fits))
    left = sorted(fits, key=judged)
    while left and time.process_time() < began + cpu_seconds:
        _go_on(left.pop(0), began + cpu_seconds)
    return min(fits, key=judged).network


def levenberg_marquardt(network: nn.Sequential, points: Points) -> Iterator[float]:
    """The loss after each step, until no step lowers it; the network is changed."""
    damping = _FIRST_DAMPING
    while True:
        residual, slopes = residual_jacobian(network, points)
        now = float(residual.square().sum())
        matrix, gradient = slopes.T @ slopes, slopes.T @ residual
        diagonal, place = matrix.diagonal().clone(), nn.utils.parameters_to_vector(network.parameters()).detach()
        for _ in range(_TRIES):
            torch.add(diagonal, damping * diagonal.mean(), out=matrix.diagonal())
            factor, failed = torch.linalg.cholesky_ex(matrix)
            if not failed:
                _set(network, place - torch.cholesky_solve(gradient[:, None], factor)[:, 0])
                after = float(loss(network, points).detach())
                if after < now:
                    now, damping = after, damping * _LESS
                    break
            damping *= _MORE
        else:
            _set(network, place)
            return
        yield now


def residual_jacobian(network: nn.Sequential, points: Points) -> tuple[Tensor, Tensor]:
    """The residuals, and their derivatives by all parameters ``[residuals, parameters]``."""
    inside, edge = points.weights()
    laplacian = _Laplacian(network)
    parameters = {name: value.detach() for name, value in laplacian.named_parameters()}

    def of_laplacian(given: Mapping[str, Tensor], row: Tensor) -> Tensor:
        found: Tensor = functional_call(laplacian, dict(given), (row[None],))
        return found[0, 0]

    def of_value(given: Mapping[str, Tensor], row: Tensor) -> Tensor:
        plain = {name.removeprefix("network."): value for name, value in given.items()}
        found: Tensor = functional_call(network, plain, (row[None],))
        return found[0, 0]

    parts = []
    for function, rows, weight in ((of_laplacian, points.interior, inside), (of_value, points.boundary, edge)):
        found = vmap(jacrev(function), in_dims=(None, 0))(parameters, rows)
        parts.append(weight * torch.cat([each.flatten(1) for each in found.values()], dim=1))
    with torch.no_grad():
        return points.residuals(laplacian(points.interior), network(points.boundary)), torch.cat(parts)


class _Laplacian(nn.Module):
    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return derivatives(self.network, x)[2]


def _go_on(fit: Fit, until: float) -> None:
    """Steps until a moment of processor time, or until the loss falls no more."""
    last = math.inf
    while time.process_time() < until:
        now = next(fit.steps, last)
        if not now < last:
            return
        last = now


def _set(network: nn.Module, place: Tensor) -> None:
    with torch.no_grad():
        nn.utils.vector_to_parameters(place, network.parameters())
