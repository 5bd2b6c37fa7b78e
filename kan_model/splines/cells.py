"""The basis functions that are not 0 at a point: degree + 1 of them, as polynomials on the cell that holds the point.

On one cell (from a knot to the next) each basis function is a polynomial of u, the place within the cell from 0 to 1.
A cell's matrix times the powers [1, u, u², …] gives the degree + 1 values. Nothing is computed for the functions that
are 0 there, so the cost does not grow with the number of intervals.

Example, degree 1: on every cell the two functions are 1 − u and u, so the matrix (function by power) is
[[1, −1], [0, 1]].
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kan_model.splines.bspline import uniform_knots
from kan_model.splines.workspace import Workspace

# Fewer points take more calls than they save.
_BLOCK_POINTS = 2**14
# Among more edges a binary search finds a cell faster than a comparison with each.
_MOST_COMPARED = 128
# Whole numbers, by how many bytes they take.
_WHOLE = {8: torch.int64, 4: torch.int32, 2: torch.int16}


@dataclass(frozen=True)
class Cells:
    """The cells of every feature's grid.

    Attributes:
        degree: Degree of the splines.
        count: Number of basis functions of a feature.
        edges: ``[features, cells + 1]``, where the cells of a feature begin and end.
        beyond: Number of cells below the domain, and above it. A cell's first function is its number less this.
        polynomials: ``[degree + 1 functions, degree + 1 powers, tables]``. Uniform grids have one table for all cells
            of the domain, or one a cell where cells are beyond it too; other grids have one a feature and cell.
        is_uniform: Whether the cells of a feature have one width.
    """

    degree: int
    count: int
    edges: Tensor
    beyond: int
    polynomials: Tensor
    is_uniform: bool

    @property
    def cells(self) -> int:
        """Number of cells of a feature."""
        return self.edges.shape[1] - 1

    @property
    def block_points(self) -> int:
        """How many points are best worked at once."""
        return _BLOCK_POINTS

    def select(self, features: slice) -> "Cells":
        """The cells of some features."""
        polynomials = self.polynomials
        if not self.is_uniform:
            polynomials = polynomials[..., features.start * self.cells : features.stop * self.cells]
        return replace(self, edges=self.edges[features], polynomials=polynomials)

    @property
    def slope_count(self) -> int:
        """Numbers that :meth:`write` keeps of a point for :meth:`pull_back`."""
        return self.degree + 2

    def write(self, x: Tensor, values: Tensor, slopes: Tensor | None) -> None:
        """Write the values at x, and the slopes of the listed functions if there is memory for them.

        Args:
            x: ``[features, points]``.
            values: ``[features, functions, points]``.
            slopes: ``[features, degree + 2, points]``, or None. The last of them is the number of the first listed
                function, as a whole number of the same size.
        """
        place = self.locate(x)
        listed, rising = place.values_and_slopes()
        first = place.first_function()
        flat, start = values.zero_().view(-1), self._starts(first)
        for function, each in enumerate(listed):
            flat[function * x.shape[1] :].scatter_(0, start, each.view(-1))
        if slopes is not None:
            torch.mul(rising, place.scale, out=slopes[:, :-1].transpose(0, 1))
            slopes[:, -1].view(_WHOLE[slopes.itemsize]).copy_(first)

    def pull_back(self, gradient: Tensor, x: Tensor, slopes: Tensor, of_x: Tensor) -> None:
        """Add to the gradient of x ``[features, points]`` what that of the values makes of it."""
        first = slopes[:, -1].view(_WHOLE[slopes.itemsize])
        flat, start = gradient.flatten(), self._starts(first)
        found = torch.zeros_like(x)
        for function in range(self.degree + 1):
            taken = flat[function * x.shape[1] :].index_select(0, start).view_as(x)
            found.addcmul_(taken, slopes[:, function])
        of_x.add_(found.mul_(self.is_inside(x)))

    def _starts(self, first: Tensor) -> Tensor:
        """Where the first listed functions ``[features, points]`` are in ``[features, functions, points]``, flat."""
        features, points = first.shape
        begin = torch.arange(features, device=first.device).mul_(self.count * points).unsqueeze(1)
        return torch.add(begin + torch.arange(points, device=first.device), first, alpha=points).view(-1)

    def locate(self, x: Tensor) -> "Place":
        """Find the cells of x ``[features, points]``. Beyond the first and the last cell it is the next one."""
        if not self.is_uniform:
            number = self._search(x)
            left, right = self.edges.gather(1, number), self.edges.gather(1, number + 1)
            scale = 1 / (right - left)
            return Place(self, number, ((x - left) * scale).clamp_(0, 1), scale)
        low, high = self.edges[:, self.beyond, None], self.edges[:, -1 - self.beyond, None]
        scale = (self.cells - 2 * self.beyond) / (high - low)
        # Counted from the end of the domain, where x is most accurate.
        u = (x - low).mul_(scale).clamp_(-self.beyond, self.cells - self.beyond)
        number = u.floor().clamp_(max=self.cells - self.beyond - 1)
        # NaN gets some cell; its place in the cell stays NaN.
        whole = number.to(torch.int64).add_(self.beyond).clamp_(0, self.cells - 1)
        return Place(self, whole, u.sub_(number), scale)

    def _search(self, x: Tensor) -> Tensor:
        """The cell of each x ``[features, points]``: int64 of its shape."""
        between = self.edges[:, 1:-1]
        if between.shape[1] > _MOST_COMPARED:
            return torch.searchsorted(between.contiguous(), x, right=True)
        memory = Workspace((len(x), between.shape[1], x.shape[1]), x)
        # Written as floats: torch adds those several times faster than bool.
        reached = torch.ge(x.unsqueeze(1), between.unsqueeze(2), out=memory.array)
        return reached.sum(1).to(torch.int64)

    def is_inside(self, x: Tensor) -> Tensor:
        """Whether x ``[features, points]`` is in a cell: bool of its shape. Elsewhere splines are constant."""
        return (x >= self.edges[:, :1]) & (x <= self.edges[:, -1:])


@dataclass(frozen=True)
class Place:
    """Where some points are in their cells.

    Attributes:
        cells: The grids.
        number: ``[features, points]``, the cell of each point; int64.
        u: ``[features, points]``, the place in the cell, 0 to 1.
        scale: ``[features, 1 or points]``, du/dx: 1 by the width of the cell.
    """

    cells: Cells
    number: Tensor
    u: Tensor
    scale: Tensor

    def first_function(self) -> Tensor:
        """``[features, points]``: the number of the first listed function."""
        cells = self.cells
        return (self.number - cells.beyond).clamp_(0, cells.count - cells.degree - 1) if cells.beyond else self.number

    def values_and_slopes(self) -> tuple[Tensor, Tensor]:
        """The listed functions at the points and their derivatives by u: ``[degree + 1, features, points]``."""
        cells, u = self.cells, self.u.view(-1)
        functions, powers, tables = cells.polynomials.shape
        shape = (functions, *self.u.shape)
        if tables == 1:
            matrix = cells.polynomials[..., 0]
            by_power = u.new_empty(powers, len(u))
            by_power[0] = 1
            for power in range(1, powers):
                torch.mul(by_power[power - 1], u, out=by_power[power])
            orders = torch.arange(1, powers, dtype=u.dtype, device=u.device)
            return (matrix @ by_power).view(shape), ((matrix[:, 1:] * orders) @ by_power[:-1]).view(shape)
        table = self.number
        if not cells.is_uniform:
            table = table + torch.arange(len(table), device=u.device).mul_(cells.cells).unsqueeze(1)
        chosen = cells.polynomials.flatten(0, 1).index_select(1, table.view(-1)).view(functions, powers, -1)
        # By Horner's rule, for the values and the derivatives at once.
        values, slopes = chosen[:, -1], torch.zeros_like(chosen[:, -1])
        for power in range(powers - 2, -1, -1):
            slopes = torch.addcmul(values, slopes, u)
            values = torch.addcmul(chosen[:, power], values, u)
        return values.view(shape), slopes.view(shape)


def cells_of(domain: Tensor, knots: Tensor | None, grid_size: int, degree: int, outside: str) -> Cells:
    """The cells of a layer's grids.

    Args:
        domain: ``[features, 2]``.
        knots: ``[features, grid_size + 2·degree + 1]``; None: the grids are uniform.
        grid_size: Number of intervals.
        degree: Degree of the splines.
        outside: "clamp": the cells are those of the domain. "decay": those beyond it too.
    """
    if knots is None:
        every = uniform_knots(domain.double(), grid_size, degree)
        every[:, [degree, -degree - 1]] = domain.double()
        # A table is the same for all features, and says nothing of where they are.
        tabled = uniform_knots(torch.tensor([[0.0, grid_size]], dtype=torch.float64), grid_size, degree)
    else:
        every = tabled = knots.double()
    numbers = torch.arange(grid_size + 2 * degree)
    beyond = degree
    if outside == "clamp":
        numbers, beyond = numbers[degree : degree + grid_size], 0
    every = every[:, int(numbers[0]) : int(numbers[-1]) + 2]
    one_serves_all = knots is None and outside == "clamp"
    table = _polynomials(tabled.cpu(), numbers[:1] if one_serves_all else numbers, degree)
    return Cells(
        degree,
        grid_size + degree,
        every.to(domain.dtype, copy=True).contiguous(),
        beyond,
        table.to(domain).contiguous(),
        knots is None,
    )


def _polynomials(knots: Tensor, numbers: Tensor, degree: int) -> Tensor:
    """Each cell's polynomials, ``[functions, powers, features · cells]``, by de Boor's recursion.

    A factor of the recursion is linear in u: with x = left + width·u, (x − s)/(e − s) is offset + slope·u. Its numbers
    are never above 1, because the support from s to e holds the cell.
    """
    features, last = knots.shape[0], knots.shape[1] - 1
    left, width = knots[:, numbers], knots[:, numbers + 1] - knots[:, numbers]
    # [features, cells, functions, powers]; of a function that no knots remain for, the numbers are not used.
    values = knots.new_ones(features, len(numbers), 1, 1)
    for order in range(1, degree + 1):
        raised = knots.new_zeros(features, len(numbers), order + 1, order + 1)
        for index in range(order):
            # The function of degree order − 1 whose support begins at this knot.
            begin = numbers - order + 1 + index
            start, end = knots[:, begin.clamp(0, last)], knots[:, (begin + order).clamp(0, last)]
            span = torch.where(end > start, end - start, 1)
            old = values[:, :, index]
            rising = (old * ((left - start) / span).unsqueeze(-1), old * (width / span).unsqueeze(-1))
            falling = (old * ((end - left) / span).unsqueeze(-1), rising[1])
            raised[:, :, index + 1, :-1] += rising[0]
            raised[:, :, index + 1, 1:] += rising[1]
            raised[:, :, index, :-1] += falling[0]
            raised[:, :, index, 1:] -= falling[1]
        values = raised
    # A cell near an end lists functions that are 0 on it in place of functions that do not exist.
    listed = numbers.sub(degree).clamp(0, last - 2 * degree - 1) - numbers.sub(degree)
    place = listed[:, None] + torch.arange(degree + 1, device=knots.device)
    is_there = (place >= 0) & (place <= degree)
    chosen = values[:, torch.arange(len(numbers), device=knots.device)[:, None], place.clamp(0, degree)]
    return (chosen * is_there[..., None]).flatten(0, 1).permute(1, 2, 0)
