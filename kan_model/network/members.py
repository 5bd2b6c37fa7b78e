"""Which nodes of a network belong to which member, for a network that is the mean of several."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Members:
    """The members of a network: blocks of its hidden nodes. :mod:`kan_model.ensemble` makes and reads them.

    Member m is the part of the network between its own hidden nodes, its last layer times the number of members, plus
    its shift. So the mean of the members is the network, whatever its numbers are now.

    Example: ``nodes = ((16, 16), (8, 8))`` are two members of [13, 16, 8, 1] in a network of [13, 32, 16, 1].

    Attributes:
        nodes: For each hidden level the number of each member's nodes, one member's after the other's. Pruning may
            leave a member without nodes.
        shifts: For each member what is added to each output. Their sum over the members is 0, up to rounding.
    """

    nodes: tuple[tuple[int, ...], ...]
    shifts: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Refuse numbers that describe no members.

        Raises:
            ValueError: levels, counts or shifts that do not fit together.
        """
        if not self.nodes or not self.shifts or any(len(level) != len(self.shifts) for level in self.nodes):
            raise ValueError(
                f"members have nodes {self.nodes} and {len(self.shifts)} shifts; wanted one number for each member in "
                "every hidden level, and one shift for each"
            )
        are_counts = all(isinstance(count, int) and count >= 0 for count in itertools.chain(*self.nodes))
        if not are_counts or len({len(shift) for shift in self.shifts}) != 1:
            raise ValueError(
                f"members have nodes {self.nodes} and shifts {self.shifts}; wanted numbers of nodes, and a shift of "
                "each output for each member"
            )
        if not all(map(math.isfinite, itertools.chain(*self.shifts))):
            raise ValueError(f"members have shifts {self.shifts}; wanted finite numbers")

    @property
    def count(self) -> int:
        """Number of members."""
        return len(self.shifts)

    @property
    def width(self) -> tuple[int, ...]:
        """Nodes of the hidden levels and outputs of the network that has these members."""
        return (*map(sum, self.nodes), len(self.shifts[0]))

    def block(self, level: int, member: int) -> Indices:
        """The indices of a member's nodes in a hidden level, ascending; level 0 is the first hidden one."""
        start = sum(self.nodes[level][:member])
        return np.arange(start, start + self.nodes[level][member])

    def kept(self, nodes: Sequence[Sequence[int] | Indices], shifts: Sequence[Sequence[float]]) -> "Members":
        """The members after other nodes are gone.

        Args:
            nodes: For each hidden level the indices of the nodes that are left, ascending.
            shifts: For each member what is added to each output now.
        """
        counts = [
            tuple(int(np.isin(self.block(level, member), kept).sum()) for member in range(self.count))
            for level, kept in enumerate(nodes)
        ]
        return Members(tuple(counts), tuple(tuple(map(float, shift)) for shift in shifts))
