"""Write a whole KAN, with its transforms of inputs and outputs, as one ONNX model."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from kan_model.lowering.emit.blocks import emit_layer
from kan_model.lowering.emit.edges import emit_edges
from kan_model.lowering.emit.outputs import emit_outputs, scale_last_layer
from kan_model.lowering.emit.precision import Precision
from kan_model.lowering.emit.pruned import remove_pruned
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.network import KAN
from kan_model.network.transform import InputTransform, OutputTransform, Softmax, count_features
from kan_model.onnx_graph import GraphBuilder

Indices = NDArray[np.int64]
Values = NDArray[np.float64]
INPUT_NAME = "features"


def predicting_model(
    kan: KAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    strategies: Sequence[Strategy],
    precision: Precision = "float32",
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The model ``features`` [rows, features] -> outputs, with one strategy per layer, without pruned nodes."""
    compact = remove_pruned(kan)
    features = count_features(kan.width[0], inputs)
    graph = GraphBuilder(INPUT_NAME, features)
    value = _emit_inputs(graph, inputs, compact.nodes[0], features)
    last = scale_last_layer(compact.layers[-1], compact.constant(len(compact.layers) - 1), outputs)
    for index, layer in enumerate(compact.layers):
        graph.scope = f"layer{index}"
        constant = compact.constant(index)
        if last is not None and index == len(compact.layers) - 1:
            layer, constant = last.layer, last.constant
        value = emit_layer(graph, layer, value, strategies[index], precision, constant)
    value = emit_outputs(graph, value, outputs, last)
    return graph.build({output_name(outputs): (value, kan.width[-1:])}, "kan", metadata or {})


def explaining_model(
    kan: KAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    strategies: Sequence[Strategy],
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The same forward pass, with each layer's edges as further outputs ``layer0_edges``, … [rows, outputs, inputs].

    Edges to nodes that no answer depends on are zero.
    """
    compact = remove_pruned(kan)
    features = count_features(kan.width[0], inputs)
    graph = GraphBuilder(INPUT_NAME, features)
    value = _emit_inputs(graph, inputs, compact.nodes[0], features)
    edges = {}
    for index, layer in enumerate(compact.layers):
        graph.scope = f"layer{index}"
        each = emit_edges(graph, layer, value, strategies[index])
        value = graph.op("ReduceSum", [each, graph.integers([2], "inputs_axis")], "sums", keepdims=0)
        if np.any(constant := compact.constant(index)):
            value = graph.op("Add", [value, graph.floats(constant, "constant")], "nodes")
        fixed = compact.fixed[index]
        placed = _emit_at_places(graph, each, fixed, compact.nodes[index + 1], compact.nodes[index])
        edges[edges_name(index)] = (placed, fixed.shape)
    value = emit_outputs(graph, value, outputs, None)
    return graph.build({output_name(outputs): (value, kan.width[-1:]), **edges}, "kan_explained", metadata or {})


def output_name(outputs: OutputTransform | None) -> str:
    """The name of the output that holds a model's answers."""
    return "probabilities" if isinstance(outputs, Softmax) else "prediction"


def edges_name(layer: int) -> str:
    """The name of the output that holds a layer's edges in an explaining model."""
    return f"layer{layer}_edges"


def _emit_at_places(graph: GraphBuilder, edges: str, fixed: Values, outputs: Indices, inputs: Indices) -> str:
    """Write the kept nodes' edges at their places among all edges; the others are ``fixed`` ([outputs, inputs])."""
    for axis, (nodes, count) in enumerate(zip((outputs, inputs), fixed.shape, strict=True), start=1):
        if len(nodes) == count:
            continue
        pads = [int(place == axis + 3) for place in range(6)]
        edges = graph.op("Pad", [edges, graph.integers(pads, "one_more")], "edges_and_zero")
        places = np.full(count, len(nodes))
        places[nodes] = np.arange(len(nodes))
        edges = graph.op("Gather", [edges, graph.integers(places, "places")], "edges_in_place", axis=axis)
    return graph.op("Add", [edges, graph.floats(fixed, "fixed_edges")], "all_edges") if np.any(fixed) else edges


def _emit_inputs(graph: GraphBuilder, transform: InputTransform | None, read: Indices, features: int) -> str:
    """The network's inputs at the places ``read``: features first, gap inputs behind them."""
    graph.scope = "inputs"
    feature_places = read[read < features]
    x = _emit_features(graph, transform, feature_places, features)
    if transform is None:
        return x
    if transform.gaps is not None and len(feature_places) < len(read):
        flags = _emit_gaps(graph, transform.gaps[read[len(feature_places) :] - features])
        x = graph.op("Concat", [x, flags], "with_gaps", axis=1) if len(feature_places) else flags
    if np.any(transform.center):
        x = graph.op("Sub", [x, graph.floats(transform.center[read], "center")], "centred")
    if np.any(transform.scale != 1):
        x = graph.op("Mul", [x, graph.floats(transform.scale[read], "scale")], "scaled")
    return x


def _emit_features(graph: GraphBuilder, transform: InputTransform | None, places: Indices, features: int) -> str:
    """The features at these places, with gaps imputed."""
    x = INPUT_NAME
    if not len(places):
        return x
    if len(places) < features:
        x = graph.op("Gather", [x, graph.integers(places, "read_features")], "read", axis=1)
    if transform is None or transform.imputed is None:
        return x
    missing = graph.op("IsNaN", [x], "missing")
    return graph.op("Where", [missing, graph.floats(transform.imputed[places], "imputed_value"), x], "imputed")


def _emit_gaps(graph: GraphBuilder, places: Indices) -> str:
    """1 where the feature at each of these places is NaN, else 0."""
    cells = graph.op("Gather", [INPUT_NAME, graph.integers(places, "features_with_gaps")], "cells", axis=1)
    return graph.op("Cast", [graph.op("IsNaN", [cells], "gaps")], "gap_inputs", to=int(onnx.TensorProto.FLOAT))
