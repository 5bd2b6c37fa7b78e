"""Rows that a network answers again and again: what depends on the rows alone is computed once.

The first layer of a network reads the rows themselves, so its basis functions and its silu stay the same while the
network learns. The layers behind it read values that change with every step.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from kan_model.network.functions import FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN

# The most numbers of `KnownRows.basis`: 64 MiB in float64, 32 MiB in float32.
_MOST_NUMBERS = 2**23


@dataclass(frozen=True)
class KnownRows:
    """Rows, and what the first layer of a network computes from them without its parameters. Made by :meth:`of`.

    Attributes:
        x: ``[rows, inputs]``.
        base: ``[rows, inputs]``, silu of x.
        basis: ``[rows, inputs · basis functions]``.
        symbolic_outputs: ``[symbolic edges]``, the sum that each symbolic edge feeds.
    """

    x: Tensor
    base: Tensor
    basis: Tensor
    symbolic_outputs: Tensor

    @classmethod
    def of(cls, kan: KAN, x: Tensor) -> "KnownRows | None":
        """Prepare rows for a network.

        Args:
            kan: The network. The grids and the symbolic places of its first layer must not change afterwards.
            x: ``[rows, inputs]``; must not change either.

        Returns:
            None if ``basis`` would have more than 8,388,608 numbers.
        """
        first = kan.layers[0]
        if len(x) * first.coefficients[0].numel() > _MOST_NUMBERS:
            return None
        with torch.no_grad():
            outputs = torch.tensor([output for output, _ in first.symbolic_places], dtype=torch.int64, device=x.device)
            return cls(x.detach(), silu(x), first.basis(x).flatten(1), outputs)

    def __getitem__(self, rows: slice) -> "KnownRows":
        """Some of the rows."""
        return KnownRows(self.x[rows], self.base[rows], self.basis[rows], self.symbolic_outputs)

    def first_sums(self, first: KANLayer) -> Tensor:
        """The sums of the first layer, ``[rows, sums]``. Gradients go to its parameters, not to the rows."""
        base_weight, slopes = first.split_base(first.base_weight * first.edge_mask)
        coefficients = first.coefficients * first.edge_mask.unsqueeze(-1)
        sums = linear(self.base, base_weight, first.bias) + linear(self.basis, coefficients.flatten(1))
        sums = sums if slopes is None else sums + linear(self.x, slopes)
        if first.symbolic_affine is None:
            return sums
        edges = zip(first.symbolic_places, first.symbolic_functions, first.symbolic_affine, strict=True)
        values = [
            c * FUNCTIONS[function].torch(a * self.x[:, input_] + b) + d
            for (_, input_), function, (a, b, c, d) in edges
        ]
        return sums.index_add(1, self.symbolic_outputs, torch.stack(values, dim=1))

    def answers(self, kan: KAN) -> Tensor:
        """The answers of the network, ``[rows, outputs]``: those of ``kan(x)``."""
        nodes = kan.layers[0].nodes_of(self.first_sums(kan.layers[0]))
        for layer in kan.layers[1:]:
            nodes = layer(nodes)
        return nodes
