"""What a strategy is: one way to write a layer's spline basis as standard ops."""

from typing import Protocol

from kan_model.layer import KANLayer
from kan_model.lowering.graph import GraphBuilder


class Strategy(Protocol):
    """One way to write the basis functions of a layer.

    Attributes:
        name: As it stands in the manifest.
    """

    name: str

    def applies(self, layer: KANLayer) -> bool:
        """Whether the layer's grids allow it."""
        ...

    def emit_basis(self, graph: GraphBuilder, layer: KANLayer, x: str) -> tuple[str, float]:
        """Write the basis for the value ``x`` ([rows, inputs]).

        Returns:
            The value ``[rows, grid_size + degree, inputs]`` (grid axis before inputs: the inner loops are long and
            the reshape to the MatMul is free) and the factor by which it must still be multiplied; the factor goes
            into the weights.
        """
        ...
