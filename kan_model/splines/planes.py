"""All basis functions at every point, plane by plane: a plane holds one function of one feature at all points.

For grids of few intervals this costs less than finding the cell of each point (:mod:`kan_model.splines.cells`): each
operation runs over whole planes, and nothing is gathered or scattered. Points stand side by side in memory, so a plane
is one stretch of it.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kan_model.splines.bspline import cardinal_terms
from kan_model.splines.workspace import Workspace

# 512 KiB in float32: smaller blocks take more calls than they save.
_BLOCK_NUMBERS = 2**17


@dataclass(frozen=True)
class UniformPlanes:
    """Uniform grids, in the closed form of :func:`kan_model.splines.bspline.uniform_basis`.

    Distances are multiplied by the degree-th root of 1 / degree!, so the largest term needs no factor of its own.

    Attributes:
        degree: Degree of the splines.
        low: ``[features, 1]``, where the domain begins.
        high: ``[features, 1]``, where it ends.
        scale: ``[features, 1]``, distance by difference in x.
        factor: ``[features, 1]``, from the kept slopes to derivatives by x.
        centres: ``[functions, 1]``, from each function's centre to where the domain begins, as a distance.
        reach: The distance from a function's centre at which its support ends; no dimension.
        step: How much less the reach of each further term is.
        factors: The factor of each further term.
        is_clamped: Whether x beyond the domain is taken to its end.
    """

    degree: int
    low: Tensor
    high: Tensor
    scale: Tensor
    factor: Tensor
    centres: Tensor
    reach: Tensor
    step: float
    factors: tuple[float, ...]
    is_clamped: bool

    @property
    def count(self) -> int:
        """Number of basis functions of a feature."""
        return len(self.centres)

    @property
    def block_points(self) -> int:
        """How many points are best worked at once."""
        return _BLOCK_NUMBERS // self.count

    def select(self, features: slice) -> "UniformPlanes":
        """The planes of some features."""
        low, high, scale, factor = (each[features] for each in (self.low, self.high, self.scale, self.factor))
        return replace(self, low=low, high=high, scale=scale, factor=factor)

    @property
    def slope_count(self) -> int:
        """Numbers that :meth:`write` keeps of a point for :meth:`pull_back`."""
        return self.count

    def write(self, x: Tensor, values: Tensor, slopes: Tensor | None) -> None:
        """Write the values at x, and their slopes if there is memory for them.

        Args:
            x: ``[features, points]``.
            values: ``[features, functions, points]``.
            slopes: ``[features, functions, points]``, or None.
        """
        memory = Workspace((3, *values.shape), values)
        signed, left, power = memory.array
        near = torch.clamp(x, self.low, self.high) if self.is_clamped else x
        torch.add(self.centres, (near - self.low).mul_(self.scale).unsqueeze(1), out=signed)
        torch.abs(signed, out=left)
        # A term is left^degree, left = (reach − distance)₊. Its slope needs left^(degree − 1); times left that is the
        # term itself.
        torch.sub(self.reach, left, out=left).clamp_min_(0)
        first = power if slopes is None else slopes
        _raise(left, self.degree - 1, first)
        torch.mul(first, left, out=values)
        for factor in self.factors:
            _raise(left.sub_(self.step).clamp_min_(0), self.degree - 1, power)
            values.addcmul_(power, left, value=factor)
            if slopes is not None:
                slopes.add_(power, alpha=factor)
        if slopes is not None:
            slopes.mul_(signed.sign_())

    def pull_back(self, gradient: Tensor, x: Tensor, slopes: Tensor) -> Tensor:
        """The gradient of x ``[features, points]`` from that of the values, which is overwritten."""
        of_x = gradient.mul_(slopes).sum(1).mul_(self.factor)
        return of_x.mul_(torch.clamp(x, self.low, self.high) == x) if self.is_clamped else of_x


@dataclass(frozen=True)
class UnevenPlanes:
    """Any grids, by de Boor's recursion from the functions of degree 1.

    Attributes:
        degree: Degree of the splines, 2 at least.
        knots: ``[features, knots, 1]``.
        shares: For each degree below: ``[features, supports, 1]``, 1 by the length of the support of each function of
            one degree less.
        low: ``[features, 1]``: x below it is moved to it.
        high: ``[features, 1]``: x above it is moved to it.
    """

    degree: int
    knots: Tensor
    shares: tuple[Tensor, ...]
    low: Tensor
    high: Tensor

    @property
    def count(self) -> int:
        """Number of basis functions of a feature."""
        return self.knots.shape[1] - self.degree - 1

    @property
    def block_points(self) -> int:
        """How many points are best worked at once."""
        return _BLOCK_NUMBERS // self.count

    def select(self, features: slice) -> "UnevenPlanes":
        """The planes of some features."""
        shares = tuple(each[features] for each in self.shares)
        return replace(
            self, knots=self.knots[features], shares=shares, low=self.low[features], high=self.high[features]
        )

    @property
    def slope_count(self) -> int:
        """Numbers that :meth:`write` keeps of a point for :meth:`pull_back`."""
        return self.count

    def write(self, x: Tensor, values: Tensor, slopes: Tensor | None) -> None:
        """As :meth:`UniformPlanes.write`."""
        (features, points), knots = x.shape, self.knots.shape[1]
        distances, hats = Workspace((features, knots, points), x), Workspace((2, features, knots - 2, points), x)
        above, (part, other) = distances.array, hats.array
        torch.sub(torch.clamp(x, self.low, self.high).unsqueeze(1), self.knots, out=above)
        # Of degree 1: rising to 1 at the next knot, falling to 0 at the one after it.
        share = self.shares[0]
        torch.mul(above[:, :-2], share[:, :-1], out=part)
        torch.mul(above[:, 2:], -share[:, 1:], out=other)
        torch.minimum(part, other, out=part).clamp_min_(0)
        for order, share in enumerate(self.shares[1:], 2):
            part.mul_(share)
            if order == self.degree and slopes is not None:
                torch.sub(part[:, :-1], part[:, 1:], out=slopes)
            shape = (features, knots - order - 1, points)
            found = values if order == self.degree else other.view(-1)[: math.prod(shape)].view(shape)
            torch.mul(above[:, : -order - 1], part[:, :-1], out=found)
            found.addcmul_(above[:, order + 1 :], part[:, 1:], value=-1)
            part, other = found, part

    def pull_back(self, gradient: Tensor, x: Tensor, slopes: Tensor) -> Tensor:
        """As :meth:`UniformPlanes.pull_back`."""
        of_x = gradient.mul_(slopes).sum(1).mul_(self.degree)
        return of_x.mul_(torch.clamp(x, self.low, self.high) == x)


def uniform_planes(domain: Tensor, grid_size: int, degree: int, outside: str) -> UniformPlanes:
    """The planes of uniform grids.

    Args:
        domain: ``[features, 2]``.
        grid_size: Number of intervals.
        degree: Degree of the splines.
        outside: "clamp" or "decay".
    """
    low, high = domain[:, :1].double(), domain[:, 1:].double()
    root = (1 / math.factorial(degree)) ** (1 / degree)
    (reach, _), *further = cardinal_terms(degree)
    centres = torch.arange(grid_size + degree, dtype=torch.float64) + ((degree + 1) / 2 - degree)
    return UniformPlanes(
        degree,
        domain[:, :1].clone(),
        domain[:, 1:].clone(),
        (grid_size * root / (high - low)).to(domain),
        (-degree * grid_size * root / (high - low)).to(domain),
        (centres * -root).unsqueeze(1).to(domain),
        torch.tensor(reach * root, dtype=torch.float64).to(domain),
        root,
        tuple(factor * math.factorial(degree) for _, factor in further),
        outside == "clamp",
    )


def uneven_planes(knots: Tensor, degree: int, outside: str) -> UnevenPlanes:
    """The planes of any grids.

    Args:
        knots: ``[features, knots]``.
        degree: Degree of the splines, 2 at least.
        outside: "clamp" or "decay".
    """
    exact, ends = knots.double(), (degree, -degree - 1) if outside == "clamp" else (0, -1)
    shares = [1 / (exact[:, order:] - exact[:, :-order]) for order in range(1, degree + 1)]
    return UnevenPlanes(
        degree,
        knots.unsqueeze(2).clone(),
        tuple(each.unsqueeze(2).to(knots) for each in shares),
        knots[:, ends[0], None].clone(),
        knots[:, ends[1], None].clone(),
    )


def _raise(base: Tensor, exponent: int, out: Tensor) -> None:
    """Of exponent 0: 1 where the base is above 0, the slope of (base)₊."""
    if exponent == 0:
        torch.sign(base, out=out)
    elif exponent == 2:
        # Half the time of torch.pow.
        torch.mul(base, base, out=out)
    else:
        torch.pow(base, exponent, out=out)
