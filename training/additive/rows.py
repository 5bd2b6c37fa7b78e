"""The rows of a penalised fit: the few basis functions that are not 0 in each row, and sums over the rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.additive.sums import Sums
from training.additive.terms import Side, Terms

# Numbers of the dense matrix of a block of rows: 32 MiB.
_BLOCK_NUMBERS = 2**22
# Columns of a block of a symmetric product.
_BLOCK_COLUMNS = 128


@dataclass(frozen=True)
class TermRows:
    """Rows as the terms of an additive model see them.

    Attributes:
        terms: The terms.
        firsts: ``[rows, curves]``, the raw column of the first basis function that is not 0.
        values: ``[rows, curves, degree + 1]``, the values of this function and of the next ones.
        lines: ``[rows, lines]``, these inputs less their means.
        sides: ``[rows, functions]``, the functions of all sides of the pairs; None: there are no pairs.
    """

    terms: Terms
    firsts: Tensor
    values: Tensor
    lines: Tensor
    sides: Tensor | None = None

    @classmethod
    def of(cls, terms: Terms, x: Tensor) -> "TermRows":
        """The rows ``[rows, inputs]``, float64."""
        layer, curves = terms.layer, list(terms.curves)
        degree, some = layer.degree, x[:, curves]
        knots = layer.all_knots()[curves]
        breaks = knots[:, degree : knots.shape[1] - degree].contiguous()
        clamped = some.clamp(breaks[:, 0], breaks[:, -1]) if curves else some
        # The interval of each value; the last one holds its right end too.
        cells = torch.searchsorted(breaks, clamped.T.contiguous(), right=True).T - 1
        cells = cells.clamp(0, layer.grid_size - 1)
        starts = 1 + torch.arange(len(curves)) * terms.functions
        return cls(
            terms, cells + starts, _local_basis(clamped, knots, cells, degree), x[:, list(terms.lines)] - terms.means
        )

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.lines)

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of coefficients of each penalty."""
        return self.terms.widths

    @property
    def coefficients(self) -> int:
        """The number of coefficients."""
        return self.terms.raw.shape[1]

    def take(self, rows: Tensor) -> "TermRows":
        """Some of the rows, by their numbers."""
        sides = None if self.sides is None else self.sides[rows]
        return TermRows(self.terms, self.firsts[rows], self.values[rows], self.lines[rows], sides)

    def with_pairs(self, terms: Terms) -> "TermRows":
        """The same rows for the same terms, with pairs behind them."""
        found = [self.functions(side) for side in terms.sides]
        return replace(self, terms=terms, sides=torch.cat(found, dim=1) if found else None)

    def functions(self, side: Side) -> Tensor:
        """The functions of a column that a pair multiplies, ``[rows, functions]``."""
        numbers = self.terms.raw[:, list(side.functions)]
        if not side.bends:
            return self.lines @ numbers[self.terms.single - self.lines.shape[1] : self.terms.single]
        curve = self.terms.curves.index(side.inputs[0])
        result = self.values.new_zeros(len(self), len(side.functions))
        for step in range(self.values.shape[2]):
            result += self.values[:, curve, step, None] * numbers[self.firsts[:, curve] + step]
        return result

    def sums(self, targets: Tensor, weights: Tensor | None = None, factors: Tensor | None = None) -> list[Sums]:
        """The sums over the rows, for each output.

        Args:
            targets: ``[rows, outputs]``.
            weights: ``[rows]``, whose sum is the effective number of rows; None: all 1.
            factors: ``[rows]``, of the weights in a Newton step; they count no rows. None: all 1.
        """
        raw = self.terms.raw
        gram, moment = raw.new_zeros(len(raw), len(raw)), raw.new_zeros(len(raw), targets.shape[1])
        counted = torch.ones_like(targets[:, 0]) if weights is None else weights
        all_weights = counted if factors is None else counted * factors
        for block, dense in self._dense():
            weighted = dense if weights is None and factors is None else dense * all_weights[block, None]
            _add_product(gram, dense, weighted)
            moment.addmm_(weighted.T, targets[block])
        gram, moment = gram.triu() + gram.triu(1).T, self.terms.turned(moment)
        gram = self.terms.turned(self.terms.turned(gram).T.contiguous())
        squares = (all_weights[:, None] * targets.square()).sum(dim=0).tolist()
        rows = float(counted.sum())
        return [Sums(gram, moment[:, place], square, rows) for place, square in enumerate(squares)]

    def answers(self, coefficients: Tensor) -> Tensor:
        """The sum of all terms in each row, ``[rows, outputs]``, for coefficients ``[coefficients, outputs]``."""
        numbers, single = self.terms.raw @ coefficients, self.terms.single
        curved = single - self.lines.shape[1]
        result = numbers[0] + self.lines @ numbers[curved:single]
        for block in self._blocks():
            places = self._places(block)
            for output in range(numbers.shape[1]):
                result[block, output] += (numbers[:, output][places] * self.values[block]).sum(dim=(1, 2))
        for first, second, products, ones, twos, factors in self._pairs():
            for output in range(numbers.shape[1]):
                matrix = numbers.new_zeros(first.shape[1], second.shape[1])
                matrix[ones, twos] = numbers[products, output] * factors
                result[:, output] += ((first @ matrix) * second).sum(dim=1)
        return result

    def slopes(self, residuals: Tensor) -> Tensor:
        """Xᵀr, ``[coefficients]``: how the answers of all rows, times residuals ``[rows]``, grow with coefficients."""
        single = self.terms.single
        numbers = residuals.new_zeros(len(self.terms.raw))
        for block in self._blocks():
            numbers.index_add_(
                0, self._places(block).flatten(), (self.values[block] * residuals[block, None, None]).flatten()
            )
        numbers[0] = residuals.sum()
        numbers[single - self.lines.shape[1] : single] = self.lines.T @ residuals
        for first, second, products, ones, twos, factors in self._pairs():
            numbers[products] = (first.T @ (second * residuals[:, None]))[ones, twos] * factors
        return self.terms.turned(numbers)

    def _places(self, block: slice) -> Tensor:
        """``[rows, curves, degree + 1]``: the raw columns of the functions that are not 0."""
        return self.firsts[block, :, None] + torch.arange(self.values.shape[2])

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor, slice, Tensor, Tensor, Tensor]]:
        """Each pair: the functions of both columns, the raw columns of its products, and how these are made."""
        if self.sides is None:
            return
        start = self.terms.single
        for pair in self.terms.pairs:
            first, second = (self.sides[:, self.terms.side_places[side.name]] for side in (pair.first, pair.second))
            ones, twos, factors = pair.products
            yield first, second, slice(start, start + len(ones)), ones, twos, factors
            start += len(ones)

    def _blocks(self) -> Iterator[slice]:
        step = max(1, _BLOCK_NUMBERS // len(self.terms.raw))
        for start in range(0, len(self), step):
            yield slice(start, start + step)

    def _dense(self) -> Iterator[tuple[slice, Tensor]]:
        """Blocks of rows, with all their raw columns."""
        columns, single = len(self.terms.raw), self.terms.single
        curved = single - self.lines.shape[1]
        for block in self._blocks():
            values = self.values[block]
            dense = values.new_zeros(len(values), columns)
            dense[:, 0] = 1.0
            dense.scatter_(1, self._places(block).flatten(1), values.flatten(1))
            dense[:, curved:single] = self.lines[block]
            for first, second, products, ones, twos, factors in self._pairs():
                torch.mul(first[block][:, ones] * factors, second[block][:, twos], out=dense[:, products])
            yield block, dense


def _add_product(gram: Tensor, dense: Tensor, weighted: Tensor) -> None:
    """Add denseᵀ · weighted, which is symmetric: of its lower half only what lies in blocks at the diagonal."""
    for start in range(0, len(gram), _BLOCK_COLUMNS):
        block = slice(start, start + _BLOCK_COLUMNS)
        gram[block, start:].addmm_(dense[:, block].T, weighted[:, start:])


def _local_basis(x: Tensor, knots: Tensor, cells: Tensor, degree: int) -> Tensor:
    """The values of the ``degree + 1`` basis functions that are not 0, by de Boor's recursion.

    Args:
        x: ``[rows, curves]``, inside the domains.
        knots: ``[curves, knots]``.
        cells: ``[rows, curves]``, the interval of each value.
        degree: Degree of the splines.

    Returns:
        ``[rows, curves, degree + 1]``.

    Source: de Boor, A Practical Guide to Splines, ch. X, BSPLVB.
    """
    interval = cells + degree

    def knot(offset: int) -> Tensor:
        return knots.gather(1, (interval + offset).T).T

    values = [torch.ones_like(x)]
    for order in range(1, degree + 1):
        above = torch.zeros_like(x)
        next_values = []
        for place in range(order):
            right, left = knot(place + 1), knot(place + 1 - order)
            part = values[place] / (right - left)
            next_values.append(above + (right - x) * part)
            above = (x - left) * part
        values = [*next_values, above]
    return torch.stack(values, dim=-1)
