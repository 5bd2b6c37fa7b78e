"""Write symbolic edges, each function as its own ONNX operators."""

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from kan_model.network.functions import FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]
Places = NDArray[np.int64]


def emit_symbolic_nodes(graph: GraphBuilder, layer: KANLayer, x: str) -> str:
    """Write the sum of the symbolic edges at each node, ``[rows, outputs]``.

    This is not a matrix product: 0 · NaN would carry the NaN of an edge to nodes that the edge does not feed.
    """
    edges, values = emit_symbolic_values(graph, layer, x)
    by_output = [
        [place for place, edge in enumerate(edges) if edge.output == output] for output in range(layer.outputs)
    ]
    most = max(map(len, by_output))
    places = np.full((layer.outputs, most), len(edges))
    for output, own in enumerate(by_output):
        places[output, : len(own)] = own
    placed = emit_at_places(graph, values, places, len(edges))
    return graph.op("ReduceSum", [placed, graph.integers([2], "edges_axis")], "symbolic", keepdims=0)


def emit_symbolic_edges(graph: GraphBuilder, layer: KANLayer, x: str) -> str:
    """Write the symbolic edges at their places, zero elsewhere: ``[rows, outputs, inputs]``."""
    edges, values = emit_symbolic_values(graph, layer, x)
    places = np.full((layer.outputs, layer.inputs), len(edges))
    for place, edge in enumerate(edges):
        places[edge.output, edge.input] = place
    return emit_at_places(graph, values, places, len(edges))


def emit_symbolic_values(graph: GraphBuilder, layer: KANLayer, x: str) -> tuple[list[SymbolicEdge], str]:
    """Write the values ``[rows, edges]`` of all symbolic edges, each function once; also return the edges' order."""
    edges = sorted(layer.symbolic, key=lambda edge: edge.function)
    groups = [list(group) for _, group in groupby(edges, lambda edge: edge.function)]
    values = [_emit_function(graph, layer, x, group) for group in groups]
    value = values[0] if len(values) == 1 else graph.op("Concat", values, "symbolic_values", axis=1)
    value = graph.op("Mul", [value, graph.floats([edge.c for edge in edges], "c")], "symbolic_scaled")
    return edges, graph.op("Add", [value, graph.floats([edge.d for edge in edges], "d")], "symbolic_shifted")


def _emit_function(graph: GraphBuilder, layer: KANLayer, x: str, edges: list[SymbolicEdge]) -> str:
    """Write f(a·x + b), ``[rows, edges]``, for edges with the same function."""
    read = [edge.input for edge in edges]
    if read != list(range(layer.inputs)):
        x = graph.op("Gather", [x, graph.integers(read, "symbolic_inputs")], "symbolic_input", axis=1)
    x = graph.op("Mul", [x, graph.floats([edge.a for edge in edges], "a")], "argument_scaled")
    x = graph.op("Add", [x, graph.floats([edge.b for edge in edges], "b")], "argument")
    return FUNCTIONS[edges[0].function].onnx(graph, x)


def emit_at_places(graph: GraphBuilder, values: str, places: Places, zero: int) -> str:
    """Write ``[rows, *places]``: the values ``[rows, edges]`` by index; the index ``zero`` gives 0."""
    if np.any(places == zero):
        values = graph.op("Pad", [values, graph.integers([0, 0, 0, 1], "one_more")], "symbolic_and_zero")
    return graph.op("Gather", [values, graph.integers(places, "symbolic_places")], "symbolic_placed", axis=1)
