"""Write a layer in parts that share no node, so that a product has the size of its block and not of the whole layer."""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.emit.nodes import emit_nodes
from kan_model.lowering.emit.precision import Precision
from kan_model.lowering.strategies.elementwise import select
from kan_model.lowering.strategies.in_blocks import InBlocks
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.connections import select_nodes
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]


def emit_layer(
    graph: GraphBuilder, layer: KANLayer, x: str, strategy: Strategy, precision: Precision, constant: Values
) -> str:
    """Write node values ``[rows, outputs]``, in parts if the strategy says so. Arguments as :func:`emit_nodes`."""
    if not isinstance(strategy, InBlocks):
        return emit_nodes(graph, layer, x, strategy, precision, constant)
    parts = strategy.parts(layer)
    values = []
    for inputs, outputs in parts:
        part = select_nodes(layer, inputs, outputs)
        read = select(graph, x, inputs, layer.inputs)
        values.append(emit_nodes(graph, part, read, strategy.strategy, precision, constant[outputs]))
    value = values[0] if len(values) == 1 else graph.op("Concat", values, "parts", axis=1)
    order = np.concatenate([outputs for _, outputs in parts])
    if np.all(np.diff(order) > 0):
        return value
    return graph.op("Gather", [value, graph.integers(np.argsort(order), "order")], "in_order", axis=1)
