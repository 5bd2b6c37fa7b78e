"""A term of two columns: which functions of both it multiplies, and what the products cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


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
