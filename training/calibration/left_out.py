"""Rows that one member of an ensemble left out."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.data.split import RowNumbers


@dataclass(frozen=True)
class LeftOutRows:
    """Rows, each of which all members but one trained on.

    Attributes:
        numbers: ``[rows]``, the numbers of the rows.
        members: ``[rows]``, the index of the member that did not train on the row.
        chose: Numbers of the rows that chose the plan of the fit; none of them is among ``numbers``.
    """

    numbers: RowNumbers
    members: RowNumbers
    chose: RowNumbers

    def only(self, kept: NDArray[np.bool_]) -> "LeftOutRows":
        """The rows for which this is true, bool ``[rows]``."""
        return replace(self, numbers=self.numbers[kept], members=self.members[kept])

    def without(self, chose: RowNumbers) -> "LeftOutRows":
        """The rows that are not among these, which chose the plan of this fit."""
        both = np.union1d(self.chose, chose)
        return replace(self.only(~np.isin(self.numbers, chose)), chose=both)

    def thinned(self, most: int) -> "LeftOutRows":
        """At most so many of the rows, evenly over all of them."""
        return self.only(np.arange(len(self.numbers)) % max(1, -(-len(self.numbers) // most)) == 0)
