"""A KAN that solves Poisson's equation, by Levenberg–Marquardt on the residuals, grid after grid."""

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
_FIRST_DAMPING, _LEAST_DAMPING, _LESS, _MORE, _TRIES = 1e-2, 1e-14, 1 / 5, 4.0, 10
# A step that lowers the loss by less than this share is the last one on its grid.
_LEAST_GAIN = 1e-3


@dataclass(frozen=True)
class Stage:
    """A network on one grid.

    Attributes:
        kan: The network.
        grid_size: Number of intervals.
        steps: Steps made on this grid.
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


def solve(points: Points, seed: int, grids: Sequence[int], steps: int, width: Sequence[int] = WIDTH) -> list[Stage]:
    """The network after each grid.

    Args:
        points: Where the equation is to hold.
        seed: Of the network's start.
        grids: Ascending grid sizes.
        steps: Most steps on each grid.
        width: Of the network.
    """
    began = time.process_time()
    kan = KAN(KANConfig(tuple(width), grid_size=grids[0]), seed=seed, dtype=torch.float64)
    stages = []
    for grid_size in grids:
        kan = adapt_grid(
            refine_grid(kan, grid_size), points.interior, uniform_share=1.0, margin=0.1, max_moved=math.inf
        ).kan
        kan, made = _fit(kan, points, steps)
        stages.append(Stage(kan, grid_size, made, time.process_time() - began))
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


def _fit(kan: KAN, points: Points, steps: int) -> tuple[KAN, int]:
    """Steps until none lowers the loss by much; the network and how many there were."""
    damping, kan = _FIRST_DAMPING, kan.with_layers([layer.changed() for layer in kan.layers])
    for step in range(steps):
        residual, slopes = residual_jacobian(kan, points)
        before, matrix = float(residual.square().sum()), slopes.T @ slopes
        gradient, diagonal = slopes.T @ residual, matrix.diagonal().clone()
        place = _flat(kan)
        for _ in range(_TRIES):
            torch.add(diagonal, damping * diagonal.mean(), out=matrix.diagonal())
            factor, failed = torch.linalg.cholesky_ex(matrix)
            if not failed:
                _set(kan, place - torch.cholesky_solve(gradient[:, None], factor)[:, 0])
                after = float(residuals(kan, points).square().sum())
                if after < before:
                    damping = max(_LEAST_DAMPING, damping * _LESS)
                    break
            damping *= _MORE
        else:
            _set(kan, place)
            return kan, step
        if before - after < _LEAST_GAIN * before:
            return kan, step + 1
    return kan, steps


def _flat(kan: KAN) -> Tensor:
    return torch.nn.utils.parameters_to_vector(kan.parameters()).detach()


def _set(kan: KAN, place: Tensor) -> None:
    with torch.no_grad():
        torch.nn.utils.vector_to_parameters(place, kan.parameters())
