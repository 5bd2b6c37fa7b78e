"""Elementwise operators that several strategies write: some inputs, repeated inputs, bounds, powers."""

import numpy as np
from numpy.typing import NDArray

from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]
Indices = NDArray[np.int64]


def select(graph: GraphBuilder, x: str, columns: Indices, count: int) -> str:
    """Write some of the ``count`` columns of x, ascending. A slice of neighbours is faster than a Gather."""
    if len(columns) == count:
        return x
    first, end = int(columns[0]), int(columns[-1]) + 1
    if end - first == len(columns):
        bounds = [graph.integers([bound], "bound") for bound in (first, end, 1)]
        return graph.op("Slice", [x, *bounds], "part")
    return graph.op("Gather", [x, graph.integers(columns, "part_nodes")], "part", axis=1)


def repeat(graph: GraphBuilder, x: str, times: int) -> str:
    """Write ``[rows, inputs]`` -> ``[rows, times·inputs]``.

    The copy makes the following operators fast, because their rows are long. Broadcasting over a grid axis instead
    runs onnxruntime's loops once per grid point and row, which takes longer than the copy.
    """
    return x if times == 1 else graph.op("Tile", [x, graph.integers([1, times], "times")], "repeated")


def clip(graph: GraphBuilder, x: str, low: Values, high: Values) -> str:
    """Write x clipped to bounds, one pair per column, with one operator if all pairs are equal. NaN may get lost."""
    if np.all(low == low.flat[0]) and np.all(high == high.flat[0]):
        return graph.op("Clip", [x, graph.floats(low.flat[0], "low"), graph.floats(high.flat[0], "high")], "clipped")
    x = graph.op("Max", [x, graph.floats(low, "low")], "from_low")
    return graph.op("Min", [x, graph.floats(high, "high")], "clipped")


def power(graph: GraphBuilder, x: str, exponent: int) -> str:
    """Write x^exponent by multiplications: onnxruntime's Pow is many times slower."""
    result = x
    for bit in f"{exponent:b}"[1:]:
        result = graph.op("Mul", [result, result], "power")
        if bit == "1":
            result = graph.op("Mul", [result, x], "power")
    return result
