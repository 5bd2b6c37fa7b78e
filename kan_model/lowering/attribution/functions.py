"""A layer as fixed functions of its inputs times fixed weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.attribution.graph import AttributionGraph
from kan_model.lowering.emit.silu import base_weights, emit_exact_silu, slope_weights
from kan_model.lowering.emit.symbolic_edges import emit_at_places, emit_symbolic_values
from kan_model.lowering.strategies.segments import Segments
from kan_model.lowering.strategies.strategy import Columns
from kan_model.network.layer import KANLayer

Values = NDArray[np.float64]
# Of one segment of the grid. More intervals mean fewer functions, whose larger weights cancel more digits: with 5
# intervals float32 keeps 6 of 7, with 16 float64 keeps 10 of 16.
INTERVALS_FLOAT32, INTERVALS_FLOAT64 = 5, 16


@dataclass(frozen=True)
class LayerFunctions:
    """Node values are ``Σ value · weight + constant``.

    Attributes:
        value: ``[rows, functions·inputs]``, the inputs innermost.
        weight: ``[functions, inputs, outputs]``.
        constant: ``[outputs]``.
    """

    value: str
    weight: Values
    constant: Values


def emit_functions(graph: AttributionGraph, layer: KANLayer, x: str, *, for_float32: bool) -> LayerFunctions:
    """Write a layer's functions: those that span its splines, silu, x, and its symbolic edges.

    Args:
        graph: The graph to write to.
        layer: The layer, in float64, without a bias.
        x: ``[rows, inputs]``, float64 while the graph is wide.
        for_float32: The product of functions and weights is computed in float32.
    """
    values, weights = [], []
    constant = np.zeros(layer.outputs)
    if bool(layer.edge_mask.any()):
        intervals = INTERVALS_FLOAT32 if for_float32 else INTERVALS_FLOAT64
        splines = Segments(intervals, in_float64=graph.is_wide).emit(graph, layer, x)
        assert isinstance(splines, Columns)
        constant = splines.constant.sum(axis=0)
        values += [term.value for term in splines.terms]
        weights += [term.weight for term in splines.terms]
    if values or not layer.symbolic:
        # Also where its weights are 0: it carries NaN, which a Min or Max may lose.
        values.append(emit_exact_silu(graph, x))
        weights.append(base_weights(layer).T[None])
    if (slopes := slope_weights(layer)) is not None:
        values.append(x)
        weights.append(slopes.T[None])
    if layer.symbolic:
        value, weight = _emit_symbolic(graph, layer, x)
        values.append(value)
        weights.append(weight)
    value = values[0] if len(values) == 1 else graph.op("Concat", values, "functions", axis=1)
    return LayerFunctions(value, np.concatenate(weights), constant)


def _emit_symbolic(graph: AttributionGraph, layer: KANLayer, x: str) -> tuple[str, Values]:
    """Write symbolic edges at places ``[rows, edges of an input · inputs]``; the weight is 1 at the edge's output."""
    edges, values = emit_symbolic_values(graph, layer, x)
    most = max(np.bincount([edge.input for edge in edges]))
    places = np.full((most, layer.inputs), len(edges))
    weight = np.zeros((most, layer.inputs, layer.outputs))
    used = np.zeros(layer.inputs, dtype=int)
    for number, edge in enumerate(edges):
        place = used[edge.input], edge.input
        places[place] = number
        weight[(*place, edge.output)] = 1
        used[edge.input] += 1
    return emit_at_places(graph, values, places.ravel(), len(edges)), weight
