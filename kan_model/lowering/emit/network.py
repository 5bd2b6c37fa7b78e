"""Write a whole KAN, with its transforms of inputs and outputs, as one ONNX model."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from kan_model.lowering.emit.blocks import emit_layer
from kan_model.lowering.emit.edges import emit_edges
from kan_model.lowering.emit.inputs import INPUT_NAME, emit_inputs
from kan_model.lowering.emit.intervals import LOWER, UPPER, emit_intervals
from kan_model.lowering.emit.outputs import emit_outputs, scale_last_layer
from kan_model.lowering.emit.precision import Precision
from kan_model.lowering.emit.products import emit_products
from kan_model.lowering.emit.pruned import remove_pruned
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.network import KAN
from kan_model.network.transform import InputTransform, Intervals, OutputTransform, Softmax, count_features
from kan_model.onnx_graph import GraphBuilder

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


def predicting_model(
    kan: KAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    strategies: Sequence[Strategy],
    precision: Precision = "float32",
    metadata: Mapping[str, str] | None = None,
    intervals: Intervals | None = None,
) -> onnx.ModelProto:
    """The model ``features`` [rows, features] -> outputs, with one strategy per layer, without pruned nodes.

    With ``intervals`` the outputs ``lower`` and ``upper`` stand behind the answers.
    """
    compact = remove_pruned(kan)
    features = count_features(kan.width[0], inputs)
    graph = GraphBuilder(INPUT_NAME, features)
    value = scaled = emit_inputs(graph, inputs, compact.nodes[0], features)
    # Large targets would leave the range of float16.
    last = (
        None
        if precision == "float16" or compact.products[-1] is not None
        else scale_last_layer(compact.layers[-1], compact.constant(len(compact.layers) - 1), outputs)
    )
    for index, layer in enumerate(compact.layers):
        graph.scope = f"layer{index}"
        constant = compact.constant(index)
        if last is not None and index == len(compact.layers) - 1:
            layer, constant = last.layer, last.constant
        sums = emit_layer(graph, layer, value, strategies[index], precision, constant)
        value = emit_products(graph, sums, compact.products[index])
    value = emit_outputs(graph, value, outputs, last)
    written = {output_name(outputs): value}
    if intervals is not None:
        bounds = emit_intervals(graph, intervals, value, scaled, compact.nodes[0], strategies[0])
        written |= dict(zip((LOWER, UPPER), bounds, strict=True))
    shapes = {name: (each, kan.width[-1:]) for name, each in written.items()}
    return graph.build(shapes, "kan", metadata or {})


def explaining_model(
    kan: KAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    strategies: Sequence[Strategy],
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The same forward pass, with each layer's edges as further outputs ``layer0_edges``, … [rows, sums, inputs].

    Edges to nodes that no answer depends on are zero.
    """
    compact = remove_pruned(kan)
    features = count_features(kan.width[0], inputs)
    graph = GraphBuilder(INPUT_NAME, features)
    value = emit_inputs(graph, inputs, compact.nodes[0], features)
    edges = {}
    for index, layer in enumerate(compact.layers):
        graph.scope = f"layer{index}"
        each = emit_edges(graph, layer, value, strategies[index])
        value = graph.op("ReduceSum", [each, graph.integers([2], "inputs_axis")], "sums", keepdims=0)
        if np.any(constant := compact.constant(index)):
            value = graph.op("Add", [value, graph.floats(constant, "constant")], "nodes")
        value = emit_products(graph, value, compact.products[index])
        fixed = compact.fixed[index]
        placed = _emit_at_places(graph, each, fixed, compact.sums[index], compact.nodes[index])
        edges[edges_name(index)] = (placed, fixed.shape)
    value = emit_outputs(graph, value, outputs, None)
    return graph.build({output_name(outputs): (value, kan.width[-1:]), **edges}, "kan_explained", metadata or {})


def output_name(outputs: OutputTransform | None) -> str:
    """The name of the output that holds a model's answers."""
    return "probabilities" if isinstance(outputs, Softmax) else "prediction"


def edges_name(layer: int) -> str:
    """The name of the output that holds a layer's edges in an explaining model."""
    return f"layer{layer}_edges"


def _emit_at_places(graph: GraphBuilder, edges: str, fixed: Values, sums: Indices, inputs: Indices) -> str:
    """Write the kept edges at their places among all edges; the others are ``fixed`` ([sums, inputs])."""
    for axis, (nodes, count) in enumerate(zip((sums, inputs), fixed.shape, strict=True), start=1):
        if len(nodes) == count:
            continue
        pads = [int(place == axis + 3) for place in range(6)]
        edges = graph.op("Pad", [edges, graph.integers(pads, "one_more")], "edges_and_zero")
        places = np.full(count, len(nodes))
        places[nodes] = np.arange(len(nodes))
        edges = graph.op("Gather", [edges, graph.integers(places, "places")], "edges_in_place", axis=axis)
    return graph.op("Add", [edges, graph.floats(fixed, "fixed_edges")], "all_edges") if np.any(fixed) else edges
