"""Search for a and b of c·f(a·x + b) + d: the best points of a grid, then finer grids around them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.symbolic.invariance import Invariance
from kan_model.symbolic.periodogram import FREQUENCY_STEP, strongest_frequencies
from kan_model.symbolic.polish import loss_of, polish

# x is scaled to [-1, 1]. Factors a go up to 10, as in pykan: a sine then has about three periods.
_FINE, _COARSE = torch.logspace(-2, 0, 11, dtype=torch.float64), torch.arange(1.25, 10.1, 0.25, dtype=torch.float64)
_POSITIVE = torch.cat([_FINE, _COARSE])
# Shifts b slightly above 1: the end of the domain of log, 1/x and sqrt is then just outside the data.
_BESIDE_ONE = 1 + torch.logspace(-7, -1, 13, dtype=torch.float64)
_SHIFTS = torch.cat([-_POSITIVE.flip(0), torch.zeros(1, dtype=torch.float64), _POSITIVE])
_INSIDE = torch.linspace(-1, 1, 101, dtype=torch.float64)
_DENSE_SHIFTS = torch.cat([_SHIFTS, _INSIDE, _BESIDE_ONE, -_BESIDE_ONE]).sort().values
_HALF_TURN = torch.linspace(-torch.pi / 2, torch.pi / 2, 25, dtype=torch.float64)
_SEARCH_POINTS, _POLISH_POINTS, _LAST_POINTS = 128, 512, 4096
_STARTS, _ZOOMS, _ZOOM = 8, 4, 1 / 3
# Peaks of the periodogram above the grid of a. One would do, but a slow trend adds peaks at high frequencies too.
_WAVES = 3


@dataclass(frozen=True)
class EdgeSamples:
    """Samples in order of x.

    Attributes:
        x: ``[samples]``, ascending, in the given units.
        y: ``[samples]``, in the given units.
        u: ``[samples]``, x scaled to [-1, 1].
        v: ``[samples]``, y with mean 0 and standard deviation 1.
        centre: The middle of the range of x.
        half: Half the width of the range of x.
    """

    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor
    centre: float
    half: float

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> "EdgeSamples":
        """Sort and scale samples; x and y are ``[samples]`` in any order, neither is constant."""
        order = torch.argsort(x, stable=True)
        x, y = x[order], y[order]
        centre, half = float(x[0] + x[-1]) / 2, float(x[-1] - x[0]) / 2
        v = y - y.mean()
        return cls(x, y, (x - centre) / half, v / v.square().mean().sqrt(), centre, half)

    def subset(self, count: int) -> tuple[Tensor, Tensor]:
        """Scaled x and y of at most ``count`` samples, the first and the last included."""
        if len(self.u) <= count:
            return self.u, self.v
        places = torch.linspace(0, len(self.u) - 1, count, dtype=torch.float64).round().long()
        return self.u[places], self.v[places]


def search(
    function: Callable[[Tensor], Tensor], invariance: Invariance, samples: EdgeSamples
) -> tuple[float, float] | None:
    """The best a and b for the scaled samples (u, v); None if the function is not finite on them."""
    u, v = samples.subset(_SEARCH_POINTS)
    a, b, spacing = _starts(function, invariance, u, v)
    if invariance.wave:
        waves = _fast_waves(function, samples)
        a, b, spacing = (torch.cat([slow, fast], dim=-1) for slow, fast in zip((a, b, spacing), waves, strict=True))
    if not len(a):
        return None
    # In one dimension more samples cost little. They are needed to locate the jump of sgn, whose slope is 0.
    if invariance.scale or invariance.shift:
        u, v = samples.subset(_POLISH_POINTS)
    a, b = _zoom(function, u, v, a, b, spacing)
    moves = torch.tensor([not invariance.scale, not invariance.shift], dtype=torch.float64)
    a, b = polish(function, *samples.subset(_POLISH_POINTS), a, b, moves)
    loss = loss_of(function(a.unsqueeze(1) * samples.u + b.unsqueeze(1)), samples.v)
    best = loss.argmin(dim=0, keepdim=True)
    if not torch.isfinite(loss[best]):
        return None
    a, b, loss = a[best], b[best], loss[best]
    if len(samples.u) > _POLISH_POINTS:
        last_a, last_b = polish(function, *samples.subset(_LAST_POINTS), a, b, moves)
        # Compared on all samples: the function may not be finite on some that the refinement did not use.
        if loss_of(function(last_a * samples.u + last_b), samples.v) < loss:
            a, b = last_a, last_b
    return float(a), float(b)


def _starts(
    function: Callable[[Tensor], Tensor], invariance: Invariance, u: Tensor, v: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The lowest local minima of the loss on the grid.

    Returns:
        a and b, ``[starts]`` each, and the spacing of the grid there, ``[2, starts]``.
    """
    positive = torch.ones(1, dtype=torch.float64) if invariance.scale else _POSITIVE
    factors = positive if invariance.flip else torch.cat([-positive.flip(0), positive])
    shifts = _DENSE_SHIFTS if invariance.scale else _SHIFTS
    if invariance.shift:
        shifts = torch.zeros(1, dtype=torch.float64)
    elif invariance.half_turn:
        shifts = _HALF_TURN
    loss = torch.stack([loss_of(function(a * u + shifts.unsqueeze(1)), v) for a in factors])
    padded = torch.nn.functional.pad(loss, (1, 1, 1, 1), value=torch.inf)
    around = torch.stack([padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]])
    valley = torch.isfinite(loss) & (loss <= around.amin(dim=0))
    order = torch.where(valley, loss, torch.inf).flatten().argsort(stable=True)[: min(_STARTS, int(valley.sum()))]
    row, column = order // len(shifts), order % len(shifts)
    spacing = torch.stack([_spacing(factors)[row] * (not invariance.scale), _spacing(shifts)[column]])
    return factors[row], shifts[column], spacing


def _fast_waves(function: Callable[[Tensor], Tensor], samples: EdgeSamples) -> tuple[Tensor, Tensor, Tensor]:
    """Starts with higher frequencies than the grid of :func:`_starts`; the same kind of result."""
    a = strongest_frequencies(samples.u, samples.v, above=float(_POSITIVE[-1]), count=_WAVES)
    u, v = samples.subset(_POLISH_POINTS)
    loss = loss_of(function(a.view(-1, 1, 1) * u + _HALF_TURN.unsqueeze(1)), v)
    spacing = torch.tensor([[FREQUENCY_STEP], [float(_HALF_TURN.diff()[0])]], dtype=torch.float64)
    return a, _HALF_TURN[loss.argmin(dim=1)], spacing.expand(2, len(a))


def _zoom(
    function: Callable[[Tensor], Tensor], u: Tensor, v: Tensor, a: Tensor, b: Tensor, spacing: Tensor
) -> tuple[Tensor, Tensor]:
    """The best a and b on four finer and finer grids around each start, ``[starts]`` each."""
    one_way, both_ways = (torch.linspace(-1, 1, count, dtype=torch.float64) for count in (49, 7))
    offsets = torch.cartesian_prod(both_ways, both_ways) if spacing.all() else torch.stack([one_way, one_way], dim=1)
    for _ in range(_ZOOMS):
        a_near = a.unsqueeze(1) + spacing[0].unsqueeze(1) * offsets[:, 0]
        b_near = b.unsqueeze(1) + spacing[1].unsqueeze(1) * offsets[:, 1]
        best = loss_of(function(a_near.unsqueeze(2) * u + b_near.unsqueeze(2)), v).argmin(dim=1, keepdim=True)
        a, b = a_near.gather(1, best).squeeze(1), b_near.gather(1, best).squeeze(1)
        spacing = spacing * _ZOOM
    return a, b


def _spacing(grid: Tensor) -> Tensor:
    """The distance from each number of a grid to its farther neighbour."""
    if len(grid) == 1:
        return torch.zeros_like(grid)
    steps = grid.diff()
    return torch.maximum(torch.cat([steps[:1], steps]), torch.cat([steps, steps[-1:]]))
