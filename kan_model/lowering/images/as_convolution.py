"""A strategy whose product with fixed weights is ONNX's Conv over the images of its functions."""

from dataclasses import dataclass

from kan_model.lowering.strategies.strategy import Splines, Strategy
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder


@dataclass(frozen=True)
class AsConvolution:
    """The functions of another strategy, summed over pixels and channels by one Conv.

    Attributes:
        strategy: The other strategy; it has a product.
    """

    strategy: Strategy

    @property
    def name(self) -> str:
        """The name in the manifest."""
        return f"{self.strategy.name}_by_conv"

    @property
    def has_product(self) -> bool:
        """True."""
        return True

    def applies(self, layer: KANLayer) -> bool:
        """See :class:`kan_model.lowering.strategies.strategy.Strategy`."""
        return self.strategy.has_product and self.strategy.applies(layer)

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Splines:
        """See :class:`kan_model.lowering.strategies.strategy.Strategy`."""
        return self.strategy.emit(graph, layer, x)
