"""A KAN that solves Poisson's equation, by Levenberg–Marquardt on the residuals, grid after grid.

Its splines decay beyond their domain: their first two derivatives are continuous there, and so are the residuals. Those
of clamped splines jump to 0. With these, on a grid of 10, one training point beyond a hidden domain could stop
Levenberg–Marquardt, and 7 of the 10,201 test points, on one side of the square, made 95 % of the square of H1 (seed 3,
2.9e-2).
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.paper.experiments.poisson.problem import Points, errors, judging_points
from kan_model import KAN, KANConfig, adapt_grid, parameter_count, refine_grid
from kan_model.analysis.laplacian import laplacian
from kan_model.analysis.laplacian_jacobian import laplacian_jacobian
from kan_model.rows.jacobian import jacobian

WIDTH = (2, 10, 1)
# How far a hidden domain extends beyond the hidden values at each end, as a share of their width.
_MARGIN = 0.05
_FIRST_DAMPING, _LEAST_DAMPING, _LEAST_FACTOR, _TRIES = 1e-2, 1e-12, 1 / 5, 12
# So many steps that lower the loss by less than this share, all together, are a plateau.
_LEAST_GAIN, _GAIN_STEPS = 1e-2, 4
# Two plateaus whose losses differ by less than this share end the steps on a grid.
_LEAST_DESCENT = 0.1


@dataclass(frozen=True)
class Stage:
    """A network on one grid.

    Attributes:
        kan: The network.
        grid_size: Number of intervals.
        steps: Steps made on this grid; on the first one, of all starts.
        cpu_seconds: Processor time from the start to here.
    """

    kan: KAN
    grid_size: int
    steps: int
    cpu_seconds: float

    def numbers(self) -> Mapping[str, float]:
        """Errors on the test points, and what they took."""
        x = judging_points()
        with torch.no_grad():
            jet = laplacian(self.kan, x)
        found = errors(jet.values, jet.gradients[:, 0], x)
        return found | {"parameters": float(parameter_count(self.kan)), "cpu_seconds": self.cpu_seconds}


def solve(
    points: Points,
    judging: Points,
    seed: int,
    grids: Sequence[int],
    steps: Sequence[int],
    starts: int,
    width: Sequence[int] = WIDTH,
) -> list[Stage]:
    """The network after each grid.

    Args:
        points: Where the equation is to hold.
        judging: Points by whose loss a network is chosen among the starts and the steps on a grid; the solution is not
            known there.
        seed: Of the network's starts.
        grids: Ascending grid sizes.
        steps: Most steps on each grid.
        starts: Networks that are trained on the first grid; the best one goes on.
        width: Of the network.
    """
    began = time.process_time()
    config = KANConfig(tuple(width), grid_size=grids[0], outside="decay")
    tried = [
        _fit(KAN(config, seed=starts * seed + number, dtype=torch.float64), points, judging, steps[0])
        for number in range(starts)
    ]
    best = min(tried, key=lambda each: each.judged)
    stages = [Stage(best.kan, grids[0], sum(each.steps for each in tried), time.process_time() - began)]
    for grid_size, most in zip(grids[1:], steps[1:], strict=True):
        best = _fit(refine_grid(best.kan, grid_size), points, judging, most)
        stages.append(Stage(best.kan, grid_size, best.steps, time.process_time() - began))
    return stages


def residuals(kan: KAN, points: Points) -> Tensor:
    """The vector whose squares add up to the loss."""
    with torch.no_grad():
        return points.residuals(laplacian(kan, points.interior).laplacians, kan(points.boundary))


def residual_jacobian(kan: KAN, points: Points) -> tuple[Tensor, Tensor]:
    """The residuals, and their derivatives by all parameters ``[residuals, parameters]``."""
    inside, edge = points.weights()
    jet, of_laplacians = laplacian_jacobian(kan, points.interior)
    of_boundary = jacobian(kan, points.boundary)[:, 0]
    found = torch.cat([of_laplacians.mul_(inside), of_boundary.mul_(edge)])
    with torch.no_grad():
        return points.residuals(jet.laplacians, kan(points.boundary)), found


@dataclass(frozen=True)
class _Fit:
    """A network, its loss on the points that judge, and the steps that were made."""

    kan: KAN
    judged: float
    steps: int


def _fit(kan: KAN, points: Points, judging: Points, steps: int) -> _Fit:
    """Steps until the loss hardly falls; the best network.

    The best one has the lowest loss on the points that judge: on a grid of 20 the last steps fit the training points
    alone. Hidden domains move when a point leaves them, and on a plateau. Each move raises the loss. The steps after it
    lower it again, often to a half of the plateau.
    """
    x = torch.cat([points.interior, points.boundary])
    kan, damping = _with_domains(kan, x), _FIRST_DAMPING
    best, lowest, plateau, made = kan, math.inf, math.inf, 0
    losses: list[float] = []  # Since the domains were moved.
    while made < steps:
        made += 1
        if _leaves_domains(kan, x):
            kan, losses = _with_domains(kan, x), []
        step = _step(kan, points, damping)
        if step is not None:
            kan, loss, damping = step
            losses.append(loss)
            judged = float(residuals(kan, judging).square().sum())
            if judged < lowest:
                best, lowest = kan, judged
        if step is None or _is_plateau(losses):
            if lowest > plateau * (1 - _LEAST_DESCENT):
                break
            plateau = lowest
            kan, losses, damping = _with_domains(best, x), [], _FIRST_DAMPING
    return _Fit(best, lowest, made)


def _is_plateau(losses: Sequence[float]) -> bool:
    return len(losses) > _GAIN_STEPS and losses[-1] > losses[-1 - _GAIN_STEPS] * (1 - _LEAST_GAIN)


def _step(kan: KAN, points: Points, damping: float) -> tuple[KAN, float, float] | None:
    """One step down: the network, its loss and the next damping (Nielsen's rule); None if no try goes down.

    Source: H. B. Nielsen, Damping parameter in Marquardt's method, IMM-REP-1999-05.
    """
    residual, slopes = residual_jacobian(kan, points)
    before, matrix = float(residual.square().sum()), slopes.T @ slopes
    gradient, diagonal = slopes.T @ residual, matrix.diagonal().clone()
    scale = float(diagonal.mean())
    for tries in range(_TRIES):
        torch.add(diagonal, damping * scale, out=matrix.diagonal())
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if not failed:
            way = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
            tried = _moved(kan, way)
            after = float(residuals(tried, points).square().sum())
            if after < before:
                # Beside what the linear model promises.
                gain = (before - after) / float(way @ gradient + damping * scale * (way @ way))
                return tried, after, max(_LEAST_DAMPING, damping * max(_LEAST_FACTOR, 1 - (2 * gain - 1) ** 3))
        damping *= 2.0 ** (tries + 1)
    return None


def _moved(kan: KAN, way: Tensor) -> KAN:
    """The network with its parameters moved against a direction."""
    moved = kan.with_layers([layer.changed() for layer in kan.layers])
    with torch.no_grad():
        place = torch.nn.utils.parameters_to_vector(moved.parameters())
        torch.nn.utils.vector_to_parameters(place - way, moved.parameters())
    return moved


def _leaves_domains(kan: KAN, x: Tensor) -> bool:
    """Whether a hidden value lies outside of its domain."""
    with torch.no_grad():
        for layer, following in zip(kan.layers, kan.layers[1:], strict=False):
            x = layer(x)
            if bool(((x < following.domain[:, 0]) | (x > following.domain[:, 1])).any()):
                return True
    return False


def _with_domains(kan: KAN, x: Tensor) -> KAN:
    """The network with hidden domains around its hidden values. That of the inputs is the square's."""
    moved = adapt_grid(kan, x, uniform_share=1.0, margin=_MARGIN, max_moved=math.inf).kan
    return kan.with_layers([kan.layers[0], *moved.layers[1:]])
