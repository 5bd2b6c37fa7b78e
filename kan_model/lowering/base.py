"""The base branch: w · silu(x) on every edge."""

import numpy as np
from numpy.typing import NDArray

from kan_model.layer import KANLayer
from kan_model.lowering.graph import GraphBuilder

Values = NDArray[np.float64]


def emit_silu(graph: GraphBuilder, x: str) -> str:
    """The product x · sigmoid(x), which onnxruntime makes one operator of."""
    return graph.op("Mul", [x, graph.op("Sigmoid", [x], "gate")], "silu")


def base_weights(layer: KANLayer) -> Values:
    """Weights of the base branch ``[outputs, inputs]`` in float64, zero on edges that are pruned."""
    result: Values = (layer.base_weight * layer.edge_mask).detach().double().numpy()
    return result
