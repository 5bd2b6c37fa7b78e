"""Edge differences, and products of multipliers along the layers, written in the cheaper of two ways.

A layer's edge difference is D[o, i] = Σ_f difference[f, i] · weight[f, i, o]. Wanted is G·D for the multipliers G
``[rows, answers, outputs]`` of the layers behind it, or D itself for the last layer.

by_input  D as one small product for each input, then G·D for each row: best for many answers
folded    H = G·weightᵀ as one dense product for all rows, then Σ_f H[f, i] · difference[f, i]: best for few answers
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.attribution.graph import AttributionGraph

Values = NDArray[np.float64]
# Relative costs of a number that is transposed, and of one that is multiplied and summed, in multiplications of a large
# matrix product; those of small products count twice. Measured with onnxruntime 1.32 on one thread.
_TRANSPOSED, _ELEMENT, _SMALL = 8, 8, 2
# Edges of a layer from which two transpositions, first of whole rows, then inside each, are faster than one: 64 rows of
# 64·64 took 136 µs in place of 218.
_LARGE = 1024


@dataclass(frozen=True)
class Differences:
    """The functions of a layer on the rows minus those on the reference rows.

    Attributes:
        value: ``[rows, functions·inputs]``.
        flat_weight: The constant ``[functions·inputs, outputs]``.
        weight: ``[functions, inputs, outputs]``, its numbers.
    """

    value: str
    flat_weight: str
    weight: Values


def is_folded(shape: tuple[int, int, int], answers: int, *, is_last: bool) -> bool:
    """Whether the folded way is cheaper.

    Args:
        shape: Functions, inputs and outputs of the layer.
        answers: Number of answers.
        is_last: No layer is behind it.
    """
    functions, inputs, outputs = shape
    behind = 0 if is_last else answers * outputs * inputs
    folded = functions * behind + _ELEMENT * answers * functions * inputs
    by_input = _SMALL * (functions * inputs * outputs + behind)
    by_input += _TRANSPOSED * inputs * (functions + outputs)
    return folded <= by_input


def _emit_edge_differences(graph: AttributionGraph, layer: Differences) -> str:
    """Write D ``[rows, outputs, inputs]`` by one small product for each input."""
    functions, inputs, outputs = layer.weight.shape
    by_function = graph.reshape(layer.value, [0, functions, inputs], "by_function")
    by_input = graph.op("Transpose", [by_function], "by_input", perm=[2, 0, 1])
    # onnxruntime transposes the constant once, when it loads the graph, so the file holds it once.
    weight = graph.reshape(layer.flat_weight, [functions, inputs, outputs], "weight_by_function")
    weight = graph.op("Transpose", [weight], "weight_by_input", perm=[1, 0, 2])
    edges = graph.op("MatMul", [by_input, weight], "edges_by_input")
    if inputs * outputs < _LARGE:
        return graph.op("Transpose", [edges], "edge_differences", perm=[1, 2, 0])
    edges = graph.op("Transpose", [edges], "edges_by_row", perm=[1, 0, 2])
    # The Reshape changes nothing. It keeps onnxruntime from making one slow Transpose of both.
    edges = graph.reshape(edges, [-1, inputs, outputs], "edges_of_row")
    return graph.op("Transpose", [edges], "edge_differences", perm=[0, 2, 1])


def emit_behind(graph: AttributionGraph, behind: str | None, layer: Differences, answers: int) -> str:
    """Write G·D, ``[rows, answers, inputs]``.

    Args:
        graph: The graph to write to.
        behind: G ``[rows, answers, outputs]``; None: the layer is the last one, and G is the identity.
        layer: The layer.
        answers: Number of answers.
    """
    functions, inputs, outputs = layer.weight.shape
    if not is_folded((functions, inputs, outputs), answers, is_last=behind is None):
        edges = _emit_edge_differences(graph, layer)
        return edges if behind is None else graph.op("MatMul", [behind, edges], "multiplied")
    if behind is None:
        weight = layer.weight.transpose(2, 0, 1)
        folded = graph.floats(weight.reshape(1, -1) if answers == 1 else weight[None], "weight_by_answer")
    else:
        rows = graph.reshape(behind, [-1, outputs], "multipliers_by_row")
        folded = graph.op("Gemm", [rows, layer.flat_weight], "folded", transB=1)
        if answers > 1:
            folded = graph.reshape(folded, [-1, answers, functions, inputs], "folded_by_answer")
    if answers == 1:
        products = graph.op("Mul", [layer.value, folded], "products")
        products = graph.reshape(products, [0, 1, functions, inputs], "products_by_function")
    else:
        value = graph.reshape(layer.value, [0, 1, functions, inputs], "differences_by_function")
        products = graph.op("Mul", [value, folded], "products")
    return graph.sum(products, 2, "summed_functions")
