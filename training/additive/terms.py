"""The terms of an additive model: a curve or a line for each input, products for pairs, and the penalties on them.

Coefficients are in coordinates in which each penalty is λ·|β|² of a block of neighbours. Block by block: the constant,
which nothing penalises; the tilt of each curve; the lines; the bends of each curve; the products of each pair. A curve
without bends is its tilt.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kan_model.grids.breaks import layer_breaks
from kan_model.network.layer import KANLayer
from kan_model.splines.bspline import uniform_knots
from training.additive.penalties import coordinates, curvature

# The share of even knots in a mixture with quantiles of the rows, and how far two knots are apart at least.
_UNIFORM_SHARE = 0.2


@dataclass(frozen=True)
class Side:
    """The functions of a column that a pair multiplies: some of those that its own terms are made of.

    Attributes:
        name: Of the column, for people; of a date that of one of its numbers.
        column: The column.
        inputs: Of the network: one with a curve, or some with lines.
        tilts: Numbers of coefficients: the tilt of the curve, or the lines.
        bends: Numbers of coefficients: the smoothest bends of the curve; () for lines.
        sizes: For each tilt and bend the root of its mean square over the rows.
    """

    name: str
    column: str
    inputs: tuple[int, ...]
    tilts: tuple[int, ...]
    bends: tuple[int, ...]
    sizes: tuple[float, ...]

    @property
    def functions(self) -> tuple[int, ...]:
        """Numbers of the coefficients of its functions."""
        return *self.tilts, *self.bends


@dataclass(frozen=True)
class Pair:
    """A term of two columns: all products of a function of the one and a function of the other.

    Tilts times tilts, tilts times bends, bends times tilts, and bends times bends have a penalty each.

    Attributes:
        first: The one.
        second: The other.
        factors: For each penalty the factor of its products.

    Source: Wood, Scheipl and Faraway, Straightforward intermediate rank tensor product smoothing in mixed models
    (2013).
    """

    first: Side
    second: Side
    factors: tuple[float, ...]

    @property
    def names(self) -> tuple[str, str]:
        """Of its two columns."""
        return self.first.name, self.second.name

    def blocks(self) -> Iterator[list[tuple[int, int]]]:
        """For each penalty the numbers of the two functions of each product."""
        for own in (self.first.tilts, self.first.bends):
            for other in (self.second.tilts, self.second.bends):
                if block := [(one, two) for one in own for two in other]:
                    yield block

    @property
    def widths(self) -> list[int]:
        """The number of products of each penalty."""
        return [len(block) for block in self.blocks()]

    @cached_property
    def products(self) -> tuple[Tensor, Tensor, Tensor]:
        """``[products]`` each: which function of the one column, which of the other, and the factor."""
        ones, twos = self.first.functions, self.second.functions
        found = [
            (ones.index(one), twos.index(two), factor)
            for block, factor in zip(self.blocks(), self.factors, strict=True)
            for one, two in block
        ]
        first, second, factors = zip(*found, strict=True)
        return torch.tensor(first), torch.tensor(second), torch.tensor(factors, dtype=torch.float64)


@dataclass(frozen=True)
class Terms:
    """Which inputs have a curve or a line, which columns a common term, and what they cost.

    The raw columns of a row are 1, the basis functions of each curve, each input with a line less its mean, and the
    products of each pair.

    Attributes:
        layer: A layer in float64 with the grids; its coefficients are 0.
        curves: Inputs with a curve.
        lines: Inputs with a line: those that take two values.
        means: ``[lines]``, the means of these inputs.
        raw: ``[raw columns, coefficients]``: times coefficients it gives the numbers that belong to the raw columns.
        widths: The number of coefficients of each penalty; the constant comes before the first.
        pairs: The terms of two columns.
    """

    layer: KANLayer
    curves: tuple[int, ...]
    lines: tuple[int, ...]
    means: Tensor
    raw: Tensor
    widths: tuple[int, ...]
    pairs: tuple[Pair, ...] = ()

    @property
    def functions(self) -> int:
        """Basis functions of each curve."""
        return self.layer.grid_size + self.layer.degree

    @property
    def single(self) -> int:
        """The number of raw columns of curves and lines, the constant included; those of pairs are behind them."""
        return 1 + self.functions * len(self.curves) + len(self.lines)

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """The columns that are in a pair, each once."""
        return tuple({side.name: side for pair in self.pairs for side in (pair.first, pair.second)}.values())

    @cached_property
    def side_places(self) -> dict[str, slice]:
        """Where the functions of each side are among those of all sides, by its name."""
        ends = list(itertools.accumulate(len(side.functions) for side in self.sides))
        return {side.name: slice(end - len(side.functions), end) for side, end in zip(self.sides, ends, strict=True)}

    def turned(self, values: Tensor) -> Tensor:
        """rawᵀ · values, ``[coefficients, …]`` of ``[raw columns, …]``; curve by curve, since ``raw`` is mostly 0."""
        functions, curves, single = self.functions, len(self.curves), self.single
        result = values.new_empty(self.raw.shape[1], *values.shape[1:])
        result[0] = values[0]
        if curves:
            own = values[1 : 1 + functions * curves].reshape(curves, functions, -1)
            found = torch.bmm(self._blocks.transpose(1, 2), own)
            result[1 : 1 + curves] = found[:, 0].reshape(curves, *values.shape[1:])
            bends = found[:, 1:].reshape(-1, *values.shape[1:])
            result[1 + curves + len(self.lines) :][: len(bends)] = bends
        lines = slice(1 + curves, 1 + curves + len(self.lines))
        result[lines] = self.raw[1 + functions * curves : single, lines].T @ values[1 + functions * curves : single]
        result[len(result) - (len(values) - single) :] = values[single:]
        return result

    @cached_property
    def _blocks(self) -> Tensor:
        """``[curves, functions, functions - 1]``: the numbers of the tilt and the bends of each curve."""
        functions, bends, first = self.functions, self.functions - 2, 1 + len(self.curves) + len(self.lines)
        return torch.stack(
            [
                self.raw[1 + place * functions : 1 + (place + 1) * functions][
                    :, [1 + place, *range(first + place * bends, first + (place + 1) * bends)]
                ]
                for place in range(len(self.curves))
            ]
        )

    def with_pairs(self, pairs: Sequence[Pair]) -> "Terms":
        """The curves and lines, and these pairs behind them."""
        widths = [width for pair in pairs for width in pair.widths]
        raw = torch.zeros(len(self.raw) + sum(widths), self.raw.shape[1] + sum(widths), dtype=torch.float64)
        raw[: len(self.raw), : self.raw.shape[1]] = self.raw
        raw[len(self.raw) :, self.raw.shape[1] :].fill_diagonal_(1.0)
        return replace(self, raw=raw, widths=(*self.widths, *widths), pairs=tuple(pairs))


def terms_of(layer: KANLayer, x: Tensor, groups: Sequence[int]) -> Terms:
    """The terms for some rows.

    Args:
        layer: A layer under ``clamp`` over the domains of the inputs. An input without edges has no term.
        x: ``[rows, inputs]``, float64.
        groups: For each input the number of its group; lines of one group share a penalty.
    """
    exact = layer.changed().double()
    graded = _with_grids(exact, x, layer.base_weight.dtype)
    low, high = x.amin(dim=0), x.amax(dim=0)
    varies = (low < high) & (layer.edge_mask != 0).any(dim=0)
    two = ((x == low) | (x == high)).all(dim=0)
    curves = tuple(torch.nonzero(varies & ~two).flatten().tolist())
    lines = tuple(sorted(torch.nonzero(varies & two).flatten().tolist(), key=lambda place: (groups[place], place)))
    means = x[:, list(lines)].mean(dim=0)
    functions = graded.grid_size + graded.degree
    raw_columns = 1 + functions * len(curves) + len(lines)
    size = functions - 2
    raw = torch.zeros(raw_columns, 1 + len(curves) + len(lines) + size * len(curves), dtype=torch.float64)
    raw[0, 0] = 1.0
    # Curves bend in steps from knot to knot, which follow the rows: much where rows are many.
    even = uniform_knots(torch.tensor([[0.0, float(graded.grid_size)]]).double(), graded.grid_size, graded.degree)[0]
    penalty = curvature(even, graded.degree)
    for place, input_ in enumerate(curves):
        rows = slice(1 + place * functions, 1 + (place + 1) * functions)
        tilt, bends = coordinates(_basis_of(graded, x, input_), penalty)
        raw[rows, 1 + place] = tilt
        first = 1 + len(curves) + len(lines) + place * size
        raw[rows, first : first + size] = bends
    widths = [1] * len(curves)
    grouped = [groups[input_] for input_ in lines]
    for group in dict.fromkeys(grouped):
        members = [place for place, each in enumerate(grouped) if each == group]
        spread = x[:, [lines[place] for place in members]].var(dim=0, correction=0).sum() * len(x) / len(members)
        for place in members:
            raw[1 + functions * len(curves) + place, 1 + len(curves) + place] = spread.rsqrt()
        widths.append(len(members))
    return Terms(graded, curves, lines, means, raw, (*widths, *[size] * len(curves)))


def _with_grids(exact: KANLayer, x: Tensor, dtype: torch.dtype) -> KANLayer:
    """The layer on grids that follow the rows, with knots as the network's type has them."""
    _, breaks = layer_breaks(exact, x, exact.grid_size, _UNIFORM_SHARE, 0.0, dtype)
    steps = torch.arange(1, exact.degree + 1).to(breaks)
    first, last = breaks[:, 1:2] - breaks[:, :1], breaks[:, -1:] - breaks[:, -2:-1]
    knots = torch.cat([breaks[:, :1] - first * steps.flip(0), breaks, breaks[:, -1:] + last * steps], dim=1)
    zero = torch.zeros_like(exact.coefficients)
    return exact.changed(knots=knots.to(dtype).double(), coefficients=zero, base_weight=zero[..., 0])


def _basis_of(layer: KANLayer, x: Tensor, input_: int) -> Tensor:
    """``[rows, functions]``."""
    one = layer.changed(
        base_weight=layer.base_weight[:1, :1].detach(),
        coefficients=layer.coefficients[:1, :1].detach(),
        edge_mask=layer.edge_mask[:1, :1],
        knots=layer.all_knots()[input_ : input_ + 1],
    )
    return one.basis(x[:, input_ : input_ + 1])[:, 0]
