"""Poisson's equation on a square: Δu = f on [-1, 1]², u = 0 on the boundary, with u = sin(πx) sin(πy²)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# The paper's weight of the interior, and its numbers of points.
INTERIOR_WEIGHT = 0.01
INTERIOR, BOUNDARY = 10_000, 800
_TEST_SIDE = 101


@dataclass(frozen=True)
class Points:
    """The points on which the equation is to hold, for the loss 0.01 · mean (Δu − f)² + mean u².

    Attributes:
        interior: ``[points, 2]``.
        boundary: ``[points, 2]``.
        source: ``[points, 1]``, f at the interior points.
    """

    interior: Tensor
    boundary: Tensor
    source: Tensor

    def residuals(self, laplacians: Tensor, boundary_values: Tensor) -> Tensor:
        """The vector whose squares add up to the loss: first the interior's ``[points, 1]``, then the boundary's."""
        inside, edge = self.weights()
        return torch.cat([inside * (laplacians - self.source), edge * boundary_values])[:, 0]

    def weights(self) -> tuple[float, float]:
        """The factor of an interior and of a boundary residual."""
        return math.sqrt(INTERIOR_WEIGHT / len(self.interior)), math.sqrt(1 / len(self.boundary))


def points(seed: int, interior: int = INTERIOR, boundary: int = BOUNDARY) -> Points:
    """Points uniform at random: in the square, and a quarter of the boundary's on each side."""
    generator = torch.Generator().manual_seed(seed)
    inside = torch.rand(interior, 2, generator=generator, dtype=torch.float64) * 2 - 1
    along = torch.rand(boundary, generator=generator, dtype=torch.float64) * 2 - 1
    side = torch.arange(boundary) % 4
    across = torch.where(side < 2, -1.0, 1.0).double()
    edge = torch.where((side % 2 == 0)[:, None], torch.stack([along, across], 1), torch.stack([across, along], 1))
    return Points(inside, edge, source(inside))


def solution(x: Tensor) -> Tensor:
    """u, ``[points, 1]``."""
    return torch.sin(math.pi * x[:, :1]) * torch.sin(math.pi * x[:, 1:] ** 2)


def gradient(x: Tensor) -> Tensor:
    """∇u, ``[points, 2]``."""
    a, b = math.pi * x[:, :1], math.pi * x[:, 1:] ** 2
    by_x = math.pi * torch.cos(a) * torch.sin(b)
    by_y = 2 * math.pi * x[:, 1:] * torch.sin(a) * torch.cos(b)
    return torch.cat([by_x, by_y], dim=1)


def source(x: Tensor) -> Tensor:
    """The source f = Δu, ``[points, 1]``."""
    a, y, b = math.pi * x[:, :1], x[:, 1:], math.pi * x[:, 1:] ** 2
    by_y = 2 * math.pi * torch.cos(b) - 4 * math.pi**2 * y**2 * torch.sin(b)
    return torch.sin(a) * (by_y - math.pi**2 * torch.sin(b))


def judging_points() -> Tensor:
    """A grid of 101 × 101 points, the boundary too."""
    side = torch.linspace(-1, 1, _TEST_SIDE, dtype=torch.float64)
    return torch.cartesian_prod(side, side)


def errors(values: Tensor, gradients: Tensor, x: Tensor) -> dict[str, float]:
    """Mean squared error of u, its root (L2), and the root with the gradient's squared error (H1), over the points.

    Args:
        values: ``[points, 1]``.
        gradients: ``[points, 2]``.
        x: ``[points, 2]``.
    """
    square = float((values - solution(x)).square().mean())
    of_gradient = float((gradients - gradient(x)).square().sum(dim=1).mean())
    return {"mse": square, "l2": math.sqrt(square), "h1": math.sqrt(square + of_gradient)}
