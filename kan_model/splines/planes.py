"""All basis functions at every point, plane by plane: a plane holds one function of one feature at all points.

For grids of few intervals this costs less than finding the cell of each point (:mod:`kan_model.splines.cells`): each
operation runs over whole planes, and nothing is gathered or scattered. Points stand side by side in memory, so a plane
is one stretch of it. These are the planes of uniform grids; :mod:`kan_model.splines.uneven_planes` has those of others.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kan_model.splines.bspline import cardinal_terms
from kan_model.splines.workspace import Workspace

# 1 MiB in float32: smaller blocks take more calls than they save.
BLOCK_NUMBERS = 2**18


@dataclass(frozen=True)
class UniformPlanes:
    """Uniform grids, in the closed form of :func:`kan_model.splines.bspline.uniform_basis`.

    Distances are multiplied by the degree-th root of 1 / degree!, so the largest term needs no factor of its own.

    Attributes:
        degree: Degree of the splines.
        domain: Where the features' domains begin and end, and the scale from x to distances.
        centres: ``[functions, 1]``, from each function's centre to where the domain begins, as a distance; with a
            `Shared` domain to x = 0.
        reach: The distance from a function's centre at which its support ends; no dimension.
        step: How much less the reach of each further term is; no dimension. A tensor, because torch would convert a
            number each time.
        factors: The factor of each further term.
        is_clamped: Whether x beyond the domain is taken to its end.
    """

    degree: int
    domain: "Shared | Own"
    centres: Tensor
    reach: Tensor
    step: Tensor
    factors: tuple[float, ...]
    is_clamped: bool

    @property
    def count(self) -> int:
        """Number of basis functions of a feature."""
        return len(self.centres)

    @property
    def block_points(self) -> int:
        """How many points are best worked at once."""
        return BLOCK_NUMBERS // self.count

    def select(self, features: slice) -> "UniformPlanes":
        """The planes of some features."""
        domain = self.domain.select(features)
        return self if domain is self.domain else replace(self, domain=domain)

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
        if slopes is None:
            self._write_values(x, values)
            return
        memory = Workspace((2, *values.shape), values)
        signed, left = memory.array.unbind()
        self._write_distances(x, signed)
        torch.abs(signed, out=left)
        # A term is left^degree, left = (reach − distance)₊. Its slope needs left^(degree − 1); times left that is the
        # term itself.
        torch.sub(self.reach, left, out=left).clamp_min_(0)
        torch.mul(_raise(left, self.degree - 1, slopes), left, out=values)
        for factor in self.factors:
            left.sub_(self.step).clamp_min_(0)
            if self.degree == 3:
                # The last term: it may be overwritten.
                slopes.addcmul_(left, left, value=factor)
                values.add_(left.pow_(3), alpha=factor)
                continue
            power = _raise(left, self.degree - 1, torch.empty_like(left))
            values.addcmul_(power, left, value=factor)
            slopes.add_(power, alpha=factor)
        slopes.mul_(signed.sign_())

    def pull_back(self, gradient: Tensor, x: Tensor, slopes: Tensor, of_x: Tensor) -> None:
        """Add to the gradient of x ``[features, points]`` what that of the values makes, which is overwritten."""
        of_near = gradient.mul_(slopes).sum(1)
        # A distance from the centre grows as the term falls.
        self.domain.add_gradient(of_near, x if self.is_clamped else None, of_x, -self.degree)

    def _write_values(self, x: Tensor, values: Tensor) -> None:
        """The same terms in fewer operations and less memory."""
        memory = Workspace(tuple(values.shape), values)
        left = memory.array
        self._write_distances(x, left)
        torch.sub(self.reach, left.abs_(), out=left).clamp_min_(0)
        _raise(left, self.degree, values)
        for number, factor in enumerate(self.factors, 1):
            left.sub_(self.step).clamp_min_(0)
            # The last term needs nothing of what it overwrites.
            is_last = number == len(self.factors) and self.degree < 5
            values.add_(_raise(left, self.degree, left if is_last else torch.empty_like(left)), alpha=factor)

    def _write_distances(self, x: Tensor, out: Tensor) -> None:
        near, factor = self.domain.scaled(x, self.is_clamped)
        torch.add(self.centres, near.unsqueeze(1), alpha=factor, out=out)


@dataclass(frozen=True)
class Shared:
    """One domain of all features, in numbers: operations on them cost less than on a column of tensors.

    Attributes:
        low: Where the domain begins.
        high: Where it ends.
        scale: Distance by difference in x.
        below: The number of the type next below ``low``.
        above: The number of the type next above ``high``.
    """

    low: float
    high: float
    scale: float
    below: float
    above: float

    def select(self, _features: slice) -> "Shared":
        """Itself, for any features."""
        return self

    def scaled(self, x: Tensor, is_clamped: bool) -> tuple[Tensor, float]:
        """A tensor and the factor that makes distances from x = 0 of it."""
        return torch.clamp(x, self.low, self.high) if is_clamped else x, self.scale

    def add_gradient(self, of_near: Tensor, x: Tensor | None, of_x: Tensor, factor: int) -> None:
        """Add the gradient of distances, times a factor, to that of x. With an x, it is 0 beyond the domain."""
        if x is not None:
            of_near = torch.ops.aten.hardtanh_backward.default(of_near, x, self.below, self.above)
        of_x.add_(of_near, alpha=factor * self.scale)


@dataclass(frozen=True)
class Own:
    """A domain a feature.

    Attributes:
        low: ``[features, 1]``, where the domain begins.
        high: ``[features, 1]``, where it ends.
        scale: ``[features, 1]``, distance by difference in x.
    """

    low: Tensor
    high: Tensor
    scale: Tensor

    def select(self, features: slice) -> "Own":
        """The domains of some features."""
        return Own(self.low[features], self.high[features], self.scale[features])

    def scaled(self, x: Tensor, is_clamped: bool) -> tuple[Tensor, float]:
        """A tensor and the factor that makes distances from where the domain begins of it."""
        near = torch.clamp(x, self.low, self.high) if is_clamped else x
        return (near - self.low).mul_(self.scale), 1

    def add_gradient(self, of_near: Tensor, x: Tensor | None, of_x: Tensor, factor: int) -> None:
        """As :meth:`Shared.add_gradient`."""
        if x is not None:
            of_near.mul_(torch.clamp(x, self.low, self.high) == x)
        of_x.addcmul_(of_near, self.scale, value=factor)


def uniform_planes(domain: Tensor, grid_size: int, degree: int, outside: str) -> UniformPlanes:
    """The planes of uniform grids.

    Args:
        domain: ``[features, 2]``.
        grid_size: Number of intervals.
        degree: Degree of the splines.
        outside: "clamp" or "decay".
    """
    exact = domain.double()
    low, high = exact[:, :1], exact[:, 1:]
    root = (1 / math.factorial(degree)) ** (1 / degree)
    (reach, _), *further = cardinal_terms(degree)
    centres = (torch.arange(grid_size + degree, dtype=torch.float64) + ((degree + 1) / 2 - degree)) * -root
    scale = grid_size * root / (high - low)
    found: Shared | Own = Own(domain[:, :1].clone(), domain[:, 1:].clone(), scale.to(domain))
    # Far from 0, distances from x = 0 would lose digits.
    if bool((exact == exact[:1]).all()) and float(exact[0].abs().max()) <= float(exact[0, 1] - exact[0, 0]):
        ends = domain[0].cpu()
        below, above = torch.nextafter(ends, torch.tensor([-math.inf, math.inf], dtype=ends.dtype)).tolist()
        found = Shared(float(ends[0]), float(ends[1]), float(scale[0]), below, above)
        centres = centres - float(low[0]) * float(scale[0])
    return UniformPlanes(
        degree,
        found,
        centres.unsqueeze(1).to(domain),
        reach=torch.tensor(reach * root, dtype=torch.float64).to(domain),
        step=torch.tensor(root, dtype=torch.float64).to(domain),
        factors=tuple(factor * math.factorial(degree) for _, factor in further),
        is_clamped=outside == "clamp",
    )


def _raise(base: Tensor, exponent: int, out: Tensor) -> Tensor:
    """Write base^exponent. Of exponent 0: 1 where the base is above 0, the slope of (base)₊.

    ``out`` may be the base itself, except for exponent 5. torch.pow is fast for exponent 3 alone.
    """
    if exponent == 0:
        return torch.sign(base, out=out)
    if exponent == 1:
        return out.copy_(base)
    if exponent == 3:
        return torch.pow(base, 3, out=out)
    torch.mul(base, base, out=out)
    if exponent >= 4:
        out.mul_(out)
    return out.mul_(base) if exponent == 5 else out
