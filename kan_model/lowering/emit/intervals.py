"""Write the bounds of intervals behind the answers, as two further outputs."""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.emit.nodes import emit_nodes
from kan_model.lowering.strategies.in_blocks import InBlocks
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.connections import Indices, select_nodes
from kan_model.network.transform import Intervals
from kan_model.onnx_graph import GraphBuilder

LOWER, UPPER = "lower", "upper"
Values = NDArray[np.float64]


def emit_intervals(
    graph: GraphBuilder, intervals: Intervals, answers: str, x: str, read: Indices, strategy: Strategy
) -> tuple[str, str]:
    """Write the lower and the upper bounds, ``[rows, outputs]`` each.

    Args:
        graph: The graph to write to.
        intervals: The bounds.
        answers: ``[rows, outputs]``, in raw units.
        x: ``[rows, read]``, the inputs of the first layer.
        read: Places of these inputs among all inputs of the network.
        strategy: That of the first layer: its functions are in the graph already, and the scale reads them.
    """
    graph.scope = "intervals"
    half_width = intervals.half_width.astype(np.float64)
    if intervals.scale is None:
        return _emit_constant(graph, intervals, answers, half_width)
    width = _emit_width(graph, intervals, x, read, strategy, half_width)
    if intervals.kind == "log":
        factor = graph.op("Exp", [width], "factor")
        return graph.op("Div", [answers, factor], LOWER), graph.op("Mul", [answers, factor], UPPER)
    lower = graph.op("Sub", [answers, width], LOWER)
    return _emit_floor(graph, intervals, lower), graph.op("Add", [answers, width], UPPER)


def _emit_constant(graph: GraphBuilder, intervals: Intervals, answers: str, half_width: Values) -> tuple[str, str]:
    """One operator for each bound: e^-w and e^w are constants too."""
    if intervals.kind == "log":
        factors = [graph.floats(np.exp(sign * half_width), "factor") for sign in (-1, 1)]
        lower, upper = (
            graph.op("Mul", [answers, factor], name) for factor, name in zip(factors, (LOWER, UPPER), strict=True)
        )
        return lower, upper
    width = graph.floats(half_width, "half_width")
    lower = graph.op("Sub", [answers, width], LOWER)
    return _emit_floor(graph, intervals, lower), graph.op("Add", [answers, width], UPPER)


def _emit_floor(graph: GraphBuilder, intervals: Intervals, lower: str) -> str:
    return graph.op("Relu", [lower], "floor") if intervals.kind == "positive" else lower


def _emit_width(
    graph: GraphBuilder, intervals: Intervals, x: str, read: Indices, strategy: Strategy, half_width: Values
) -> str:
    """e^(scale + log half_width): the logarithm joins the constant of the layer."""
    assert intervals.scale is not None
    scale = select_nodes(intervals.scale, read, np.arange(intervals.scale.outputs))
    bias = np.zeros(scale.outputs) if scale.bias is None else scale.bias.detach().double().numpy()
    plain = scale if scale.bias is None else scale.changed(bias=None)
    written = strategy.strategy if isinstance(strategy, InBlocks) else strategy
    log_width = emit_nodes(graph, plain, x, written, "float32", bias + np.log(half_width))
    return graph.op("Exp", [log_width], "width")
