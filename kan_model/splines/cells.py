"""The basis functions that are not 0 at a point: degree + 1 of them, as polynomials on the cell that holds the point.

On one cell (from a knot to the next) each basis function is a polynomial of u, the place within the cell from 0 to 1.
A row of values [1, u, u², …] times the cell's matrix gives the degree + 1 values; the derivatives' matrix gives the
slopes. Nothing is computed for the functions that are 0 there.

Example, degree 1: on every cell the two functions are 1 − u and u, so the matrix (power by function) is
[[1, 0], [−1, 1]].
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.splines.bspline import uniform_knots


@dataclass(frozen=True)
class Cells:
    """The cells of every feature's grid.

    Attributes:
        degree: Degree of the splines.
        count: Number of basis functions of a feature.
        edges: ``[features, cells + 1]``, where the cells of a feature begin and end.
        beyond: Number of cells below the domain, and above it. A cell's first function is its number less this.
        values: ``[tables, degree + 1, degree + 1]``, power by function. Uniform grids have one table for all cells of
            the domain, or one a cell where cells are beyond it too; other grids have one a feature and cell.
        is_uniform: Whether the cells of a feature have one width.
    """

    degree: int
    count: int
    edges: Tensor
    beyond: int
    values: Tensor
    is_uniform: bool

    @property
    def cells(self) -> int:
        """Number of cells of a feature."""
        return self.edges.shape[1] - 1

    def locate(self, x: Tensor) -> "Place":
        """Find the cells of x ``[rows, features]``. Beyond the first and the last cell it is the next one."""
        if self.is_uniform:
            low, high = self.edges[:, self.beyond], self.edges[:, -1 - self.beyond]
            scale = (self.cells - 2 * self.beyond) / (high - low)
            # Counted from the end of the domain, where x is most accurate.
            u = (x - low).mul_(scale).clamp_(-self.beyond, self.cells - self.beyond)
            number = u.floor().clamp_(-self.beyond, self.cells - self.beyond - 1)
            return Place(self, self._whole(number), u.sub_(number), scale)
        inner = self.edges[:, 1:-1].contiguous()
        number = torch.searchsorted(inner, x.t().contiguous(), right=True).t()
        begin = torch.arange(0, self.edges.numel(), self.cells + 1, device=x.device)
        ends = self.edges.flatten().unfold(0, 2, 1).index_select(0, (number + begin).flatten()).view(*x.shape, 2)
        left, right = ends.unbind(-1)
        scale = 1 / (right - left)
        return Place(self, number, ((x - left) * scale).clamp_(0, 1), scale)

    def _whole(self, number: Tensor) -> Tensor:
        """Cells counted from the first one, as whole numbers. NaN gets some cell; its place in the cell stays NaN."""
        return number.to(torch.int64).add_(self.beyond).clamp_(0, self.cells - 1)

    def is_inside(self, x: Tensor) -> Tensor:
        """Whether x ``[rows, features]`` is in a cell: bool of its shape. Elsewhere splines are constant."""
        return (x >= self.edges[:, 0]) & (x <= self.edges[:, -1])


@dataclass(frozen=True)
class Place:
    """Where the numbers of some rows are in their cells.

    Attributes:
        cells: The grids.
        number: ``[rows, features]``, the cell of each number; int64.
        u: ``[rows, features]``, the place in the cell, 0 to 1.
        scale: ``[features]`` or ``[rows, features]``, du/dx: 1 by the width of the cell.
    """

    cells: Cells
    number: Tensor
    u: Tensor
    scale: Tensor

    def start(self) -> Tensor:
        """``[rows · features]``: the first listed function's place in ``[rows, features, count]``, as one number."""
        cells, first = self.cells, self.number
        if cells.beyond:
            first = (first - cells.beyond).clamp_(0, cells.count - cells.degree - 1)
        return first.flatten() + torch.arange(0, first.numel() * cells.count, cells.count, device=first.device)

    def values(self) -> Tensor:
        """``[degree + 1, rows · features]``, the values of the listed functions."""
        return self._polynomials(self.cells.values)

    def slopes(self) -> Tensor:
        """``[degree + 1, rows · features]``, the derivatives of the listed functions by u."""
        table = self.cells.values[:, 1:]
        orders = torch.arange(1, self.cells.degree + 1, dtype=table.dtype, device=table.device)
        return self._polynomials(table * orders[:, None])

    def _polynomials(self, table: Tensor) -> Tensor:
        """The polynomials of a table ``[tables, powers, functions]`` at u."""
        u, powers = self.u.flatten(), table.shape[1]
        if len(table) == 1:
            by_power = u.new_empty(powers, len(u))
            by_power[0] = 1
            for power in range(1, powers):
                torch.mul(by_power[power - 1], u, out=by_power[power])
            return table[0].t() @ by_power
        number = self.number
        if not self.cells.is_uniform:
            number = number + torch.arange(0, len(table), self.cells.cells, device=u.device)
        rows = table.flatten(1).index_select(0, number.flatten())
        found = rows.t().contiguous().view(powers, -1, len(u))
        values = found[-1]
        for power in range(powers - 2, -1, -1):
            values = torch.addcmul(found[power], values, u)
        return values


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
        every.to(domain.dtype).contiguous(),
        beyond,
        table.to(domain).contiguous(),
        knots is None,
    )


def _polynomials(knots: Tensor, numbers: Tensor, degree: int) -> Tensor:
    """Each cell's matrix, ``[features · cells, degree + 1, degree + 1]``, power by function, by de Boor's recursion.

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
    return (chosen * is_there[..., None]).transpose(2, 3).flatten(0, 1)
