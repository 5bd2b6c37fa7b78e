"""Write the output of every edge of a layer, which explain.onnx gives in addition to the prediction."""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.emit.silu import base_weights, emit_exact_silu, slope_weights
from kan_model.lowering.emit.symbolic_edges import emit_symbolic_edges
from kan_model.lowering.strategies.strategy import Columns, Gathered, Strategy
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]


def emit_edges(graph: GraphBuilder, layer: KANLayer, x: str, strategy: Strategy) -> str:
    """Write edge outputs ``[rows, outputs, inputs]``; their sum over the inputs, plus a bias, is the node."""
    edges = [emit_symbolic_edges(graph, layer, x)] if layer.symbolic else []
    if layer.edge_mask.any() or not edges:
        splines = strategy.emit(graph, layer, x)
        write = _emit_columns if isinstance(splines, Columns) else _emit_gathered
        edges.append(write(graph, splines, layer))  # type: ignore[arg-type]
        axis = graph.integers([1], "outputs_axis")
        silu = graph.op("Unsqueeze", [emit_exact_silu(graph, x), axis], "silu_by_output")
        edges.append(graph.op("Mul", [silu, graph.floats(base_weights(layer), "base_weight")], "base"))
        if (slopes := slope_weights(layer)) is not None:
            lines = graph.op("Unsqueeze", [x, axis], "x_by_output")
            edges.append(graph.op("Mul", [lines, graph.floats(slopes, "slope")], "line"))
    total = edges[0]
    for each in edges[1:]:
        total = graph.op("Add", [total, each], "edges")
    return total


def _emit_columns(graph: GraphBuilder, splines: Columns, layer: KANLayer) -> str:
    """Write one small product for each input."""
    weight = np.concatenate([term.weight for term in splines.terms])
    values = [term.value for term in splines.terms]
    value = values[0] if len(values) == 1 else graph.op("Concat", values, "columns", axis=1)
    shape = graph.integers([0, len(weight), layer.inputs], "by_column")
    by_input = graph.op("Transpose", [graph.op("Reshape", [value, shape], "by_column")], "by_input", perm=[2, 0, 1])
    product = graph.op("MatMul", [by_input, graph.floats(weight.transpose(1, 0, 2), "weight")], "splines_by_input")
    if np.any(splines.constant):
        product = graph.op("Add", [product, graph.floats(splines.constant[:, None], "constant")], "with_constant")
    return graph.op("Transpose", [product], "splines", perm=[1, 2, 0])


def _emit_gathered(graph: GraphBuilder, splines: Gathered, layer: KANLayer) -> str:
    shape = graph.integers([0, 0, layer.degree + 1, layer.outputs], "by_power")
    coefficients = graph.op("Reshape", [splines.coefficients, shape], "polynomials_by_power")
    powers = graph.op("Unsqueeze", [splines.powers, graph.integers([3], "outputs_axis")], "powers_by_output")
    terms = graph.op("Mul", [coefficients, powers], "terms")
    summed = graph.op("ReduceSum", [terms, graph.integers([2], "power_axis")], "splines_by_input", keepdims=0)
    return graph.op("Transpose", [summed], "splines", perm=[0, 2, 1])
