"""The base branch: w · silu(x) on every edge."""

import numpy as np
from numpy.typing import NDArray

from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]


def emit_silu(graph: GraphBuilder, x: str) -> str:
    """The product x · sigmoid(x), which onnxruntime makes one operator of."""
    return graph.op("Mul", [x, graph.op("Sigmoid", [x], "gate")], "silu")


def emit_exact_silu(graph: GraphBuilder, x: str) -> str:
    """The quotient x / (1 + exp(−x)), as near to silu as float32 is wherever that is small.

    onnxruntime's sigmoid is off by up to 1e-7, which x · sigmoid(x) makes x · 1e-7 of what is next to 0 left of 0.
    """
    one_plus = graph.op(
        "Add", [graph.op("Exp", [graph.op("Neg", [x], "minus")], "exp"), graph.floats(1.0, "one")], "one_plus"
    )
    return graph.op("Div", [x, one_plus], "silu")


def base_weights(layer: KANLayer) -> Values:
    """Weights of the base branch ``[outputs, inputs]`` in float64, zero on edges that are pruned."""
    result: Values = (layer.base_weight * layer.edge_mask).detach().double().numpy()
    return result
