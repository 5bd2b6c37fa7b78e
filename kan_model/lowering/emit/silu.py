"""The base branch: w · silu(x) on free edges, w · x on edges with a direction."""

import numpy as np
from numpy.typing import NDArray

from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]


def emit_silu(graph: GraphBuilder, x: str) -> str:
    """Write x · sigmoid(x), which onnxruntime fuses into one operator."""
    return graph.op("Mul", [x, graph.op("Sigmoid", [x], "gate")], "silu")


def emit_exact_silu(graph: GraphBuilder, x: str) -> str:
    """Write x / (1 + exp(−x)), which is exact to float32 also where silu is almost 0.

    onnxruntime's sigmoid has an absolute error of up to 1e-7. At x = −20, x · sigmoid(x) is then off by up to 2e-6,
    where silu itself is −4e-8.
    """
    one_plus = graph.op(
        "Add", [graph.op("Exp", [graph.op("Neg", [x], "minus")], "exp"), graph.floats(1.0, "one")], "one_plus"
    )
    return graph.op("Div", [x, one_plus], "silu")


def base_weights(layer: KANLayer) -> Values:
    """Weights of silu ``[outputs, inputs]`` in float64, zero on edges that are pruned or have a direction."""
    result: Values = layer.split_base(layer.base_weight * layer.edge_mask)[0].detach().double().numpy()
    return result


def slope_weights(layer: KANLayer) -> Values | None:
    """Weights of x itself ``[outputs, inputs]`` in float64; None if no edge has a direction."""
    slopes = layer.split_base(layer.base_weight * layer.edge_mask)[1]
    return None if slopes is None else slopes.detach().double().numpy()
