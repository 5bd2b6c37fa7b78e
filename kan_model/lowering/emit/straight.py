"""Write straight edges as one product: they need no functions of a strategy.

A published version has straight edges from inputs that take two values, such as the 0/1 inputs of a column of words.
Example: 61 inputs of which 54 are such, with 32 nodes. Their 9 functions an input make a product of 549 columns; with
straight edges it has 61 + 7 · 9.
"""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.strategies.elementwise import clip, select
from kan_model.network.connections import Indices
from kan_model.network.layer import KANLayer
from kan_model.network.straight import straight_inputs, straight_lines
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]
# With at most this many inputs a product with 0 and 1 selects columns faster than a Gather, which copies number by
# number: 6 of 61 columns of 512 rows took 4 µs, and 24 µs by Gather.
_SELECTED_BY_PRODUCT = 256
# With fewer straight inputs the operators that set them apart cost more than their functions would.
_FEWEST = 8


def curved_inputs(layer: KANLayer) -> Indices:
    """The inputs that a strategy writes, ascending: all of them, unless 8 or more are straight."""
    is_straight = straight_inputs(layer)
    curved: Indices = np.flatnonzero(~is_straight if is_straight.sum() >= _FEWEST else np.ones(layer.inputs, bool))
    return curved


def emit_straight(graph: GraphBuilder, layer: KANLayer, x: str, curved: Indices) -> tuple[tuple[str, Values], Values]:
    """Write the edges from all inputs that are not ``curved``.

    Args:
        graph: The graph to write to.
        layer: The layer.
        x: ``[rows, inputs]``.
        curved: What :func:`curved_inputs` found.

    Returns:
        The factors of the product, ``[rows, inputs]`` and ``[inputs, outputs]``, and the constant of each output. The
        weights of curved inputs are 0: to leave these inputs out would copy the others.
    """
    low, high = layer.domain.detach().double().numpy().T
    constant, slope = (line.copy() for line in straight_lines(layer))
    constant[:, curved] = slope[:, curved] = 0
    return (clip(graph, x, low, high), slope.T), constant.sum(axis=1)


def emit_curved(graph: GraphBuilder, x: str, curved: Indices, count: int) -> str:
    """Write the columns ``curved`` of x, ``[rows, count]``. NaN may reach all of them: it does reach all nodes."""
    if count > _SELECTED_BY_PRODUCT or np.all(np.diff(curved) == 1):
        return select(graph, x, curved, count)
    ones = np.zeros((count, len(curved)))
    ones[curved, np.arange(len(curved))] = 1
    return graph.op("Gemm", [x, graph.floats(ones, "curved")], "curved")
