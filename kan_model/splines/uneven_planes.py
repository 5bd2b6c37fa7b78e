"""All basis functions of uneven grids at every point, plane by plane (as :mod:`kan_model.splines.planes`)."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kan_model.splines.planes import BLOCK_NUMBERS
from kan_model.splines.workspace import Workspace


@dataclass(frozen=True)
class UnevenPlanes:
    """Any grids, by de Boor's recursion from the functions of degree 1.

    Under the policy "clamp" only functions that are not 0 on the whole domain are computed; the recursion reads a plane
    of zeros on either side of them.

    Attributes:
        degree: Degree of the splines, 2 at least.
        knots: ``[features, knots, 1]``.
        rising: ``[features, hats, 1]``: distance from its first knot to each function of degree 1, divided by the
            length of its support.
        falling: ``[features, hats, 1]``, the same from its last knot.
        shares: For each degree from 2 below the splines' own: ``[features, supports, 1]``, 1 by the length of the
            support of each function.
        low: ``[features, 1]``: x below it is moved to it.
        high: ``[features, 1]``: x above it is moved to it.
        border: Planes of zeros on either side.
    """

    degree: int
    knots: Tensor
    rising: Tensor
    falling: Tensor
    shares: tuple[Tensor, ...]
    low: Tensor
    high: Tensor
    border: int

    @property
    def count(self) -> int:
        """Number of basis functions of a feature."""
        return self.knots.shape[1] - self.degree - 1

    @property
    def block_points(self) -> int:
        """How many points are best worked at once."""
        return BLOCK_NUMBERS // self.count

    def select(self, features: slice) -> "UnevenPlanes":
        """The planes of some features."""
        names = ("knots", "rising", "falling", "low", "high")
        shares = tuple(each[features] for each in self.shares)
        return replace(self, shares=shares, **{name: getattr(self, name)[features] for name in names})

    @property
    def slope_count(self) -> int:
        """Numbers that :meth:`write` keeps of a point for :meth:`pull_back`."""
        return self.count

    def write(self, x: Tensor, values: Tensor, slopes: Tensor | None) -> None:
        """As :meth:`kan_model.splines.planes.UniformPlanes.write`."""
        (features, points), (knots, hats) = x.shape, (self.knots.shape[1], self.rising.shape[1])
        distances = Workspace((features, knots, points), x)
        # The largest array of the recursion is the last but one.
        largest = max(hats + 2 * self.border, self.count + 2 * self.border - 1)
        memory = Workspace((2, features, largest, points), x)
        above, arrays = distances.array, memory.array.unbind()
        torch.sub(torch.clamp(x, self.low, self.high).unsqueeze(1), self.knots, out=above)
        part, inner = self._bordered(arrays[0], hats)
        first = (knots - hats) // 2 - 1
        torch.mul(above[:, first : first + hats], self.rising, out=inner)
        scratch = arrays[1].view(-1)[: inner.numel()].view(inner.shape)
        torch.mul(above[:, first + 2 : first + 2 + hats], self.falling, out=scratch)
        torch.minimum(inner, scratch, out=inner).clamp_min_(0)
        for order in range(2, self.degree + 1):
            if order > 2:
                inner.mul_(self.shares[order - 3])
            if order == self.degree:
                if slopes is not None:
                    torch.sub(part[:, :-1], part[:, 1:], out=slopes)
                found = raised = values
            else:
                raised, found = self._bordered(arrays[(order - 1) % 2], part.shape[1] - 1)
            start, count = first - self.border, part.shape[1] - 1
            torch.mul(above[:, start : start + count], part[:, :-1], out=found)
            found.addcmul_(above[:, start + order + 1 : start + order + 1 + count], part[:, 1:], value=-1)
            part, inner, first = raised, found, start

    def pull_back(self, gradient: Tensor, x: Tensor, slopes: Tensor, of_x: Tensor) -> None:
        """As :meth:`kan_model.splines.planes.UniformPlanes.pull_back`."""
        of_near = gradient.mul_(slopes).sum(1)
        of_x.add_(of_near.mul_(torch.clamp(x, self.low, self.high) == x), alpha=self.degree)

    def _bordered(self, memory: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """An array for that many functions in a piece of memory: with its borders, which are 0, and without."""
        shape = (len(memory), count + 2 * self.border, memory.shape[2])
        whole = memory.view(-1)[: math.prod(shape)].view(shape)
        if not self.border:
            return whole, whole
        whole[:, :: count + 1].zero_()
        return whole, whole[:, 1:-1]


def uneven_planes(knots: Tensor, degree: int, outside: str) -> UnevenPlanes:
    """The planes of any grids.

    Args:
        knots: ``[features, knots]``.
        degree: Degree of the splines, 2 at least.
        outside: "clamp" or "decay".
    """
    exact, is_clamped = knots.double(), outside == "clamp"
    # The functions of degree 1 that are not 0 everywhere on the domain, from the number of the first.
    first = degree - 1 if is_clamped else 0
    hats = knots.shape[1] - 2 - 2 * first
    begin, middle, end = (exact[:, first + offset : first + offset + hats] for offset in (0, 1, 2))
    lengths = [exact[:, order:] - exact[:, :-order] for order in range(3, degree + 1)]
    cut = [degree - order if is_clamped else 0 for order in range(2, degree)]
    ends = (degree, -degree - 1) if is_clamped else (0, -1)
    rising, falling = (1 / (width * (end - begin)) for width in (middle - begin, middle - end))
    lengths = [each[:, off : each.shape[1] - off] for each, off in zip(lengths, cut, strict=True)]
    return UnevenPlanes(
        degree,
        knots.unsqueeze(2).clone(),
        rising=rising.unsqueeze(2).to(knots),
        falling=falling.unsqueeze(2).to(knots),
        shares=tuple((1 / each).unsqueeze(2).to(knots) for each in lengths),
        low=knots[:, ends[0], None].clone(),
        high=knots[:, ends[1], None].clone(),
        border=int(is_clamped),
    )
