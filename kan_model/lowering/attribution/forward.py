"""Write the pass from the inputs to the outputs, on reference rows and rows at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kan_model.analysis.contributions import smallest_steps
from kan_model.lowering.attribution.functions import emit_functions
from kan_model.lowering.attribution.graph import INPUT_NAMES, AttributionGraph
from kan_model.lowering.attribution.inputs import emit_stacked_inputs
from kan_model.lowering.attribution.multipliers import Differences
from kan_model.lowering.attribution.products import Factors, emit_factors, emit_node_moves, emit_scaled
from kan_model.lowering.emit.products import emit_products
from kan_model.lowering.emit.pruned import Compact
from kan_model.network.transform import InputTransform, OutputTransform, Softmax

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Forward:
    """What the pass leaves for the way back.

    Attributes:
        layers: The differences of each layer, first layer first.
        factors: For each layer the slopes of its nodes by their sums; None: the nodes are the sums.
        divisors: The differences of the inputs of each layer after the first, ``[rows, inputs]``, none of them 0.
        baseline: ``[references, outputs]``, the last nodes on the reference rows, scaled.
    """

    layers: tuple[Differences, ...]
    factors: tuple[Factors | None, ...]
    divisors: tuple[str, ...]
    baseline: str


def emit_forward(
    graph: AttributionGraph,
    compact: Compact,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    features: int,
) -> Forward:
    """Write the nodes of each layer; reference rows are stacked before the rows.

    Args:
        graph: The graph to write to. While it is wide, everything is float64, else only the functions of hidden nodes.
        compact: The layers, in float64.
        inputs: What stands before them.
        outputs: What stands behind them; its scaling goes into the last layer, an exp or softmax is left out.
        features: Number of features.
    """
    graph.scope = "inputs"
    counts = [graph.op("Shape", [name], f"{name}_count", start=0, end=1) for name in reversed(INPUT_NAMES)]
    sizes = graph.op("Concat", counts, "counts", axis=0)
    x = emit_stacked_inputs(graph, inputs, compact.nodes[0], features)
    layers: list[Differences] = []
    factors: list[Factors | None] = []
    divisors: list[str] = []
    is_wide = graph.is_wide
    for index, layer in enumerate(compact.layers):
        graph.scope = f"layer{index}"
        is_last, products = index == len(compact.layers) - 1, compact.products[index]
        scale, center = _scaling(outputs) if is_last else (np.ones(1), np.zeros(1))
        # The weights take the scaling of the outputs, unless products stand between.
        by_weight = (scale, center) if products is None else (np.ones(1), np.zeros(1))
        graph.is_wide = is_wide or index > 0
        functions = emit_functions(graph, layer, x, for_float32=not is_wide)
        reference, rows = graph.split(functions.value, sizes, ("reference_functions", "row_functions"))
        # Functions are subtracted, not nodes, and before anything is rounded: so small differences keep their digits.
        difference = graph.op("Sub", [rows, reference], "differences")
        graph.is_wide, narrows = is_wide, index > 0 and not is_wide
        if narrows:
            difference = graph.to_float32(difference, "differences32")
        weight = functions.weight * by_weight[0]
        flat = graph.floats(weight.reshape(-1, weight.shape[-1]), "weight")
        numbers = (functions.constant + compact.constant(index)) * by_weight[0] + by_weight[1]
        constant = graph.floats(numbers, "constant")
        layers.append(Differences(difference, flat, weight))
        reference = graph.to_float32(reference, "reference_functions32") if narrows else reference
        nodes = graph.op("Gemm", [reference, flat, constant], "reference_sums")
        moves = "" if is_last and products is None else graph.op("MatMul", [difference, flat], "differences_of_sums")
        slopes = None if products is None else emit_factors(graph, products, nodes, moves, scale)
        factors.append(slopes)
        if slopes is not None:
            nodes = emit_scaled(graph, emit_products(graph, nodes, products), scale, center)
            moves = emit_node_moves(graph, slopes, moves)
        if is_last:
            break
        divisors.append(emit_divisor(graph, moves, smallest_steps(compact.layers[index + 1]).numpy()))
        x = _emit_stacked_nodes(graph, nodes, divisors[-1])
    return Forward(tuple(layers), tuple(factors), tuple(divisors), nodes)


def emit_divisor(graph: AttributionGraph, difference: str, steps: Values) -> str:
    """Write the difference, or the step where the difference is smaller: what is behind it then is the derivative."""
    step = graph.floats(steps if np.ptp(steps) else steps[0], "smallest_step")
    is_tiny = graph.op("Less", [graph.op("Abs", [difference], "size"), step], "is_tiny")
    return graph.op("Where", [is_tiny, step, difference], "divisor")


def _emit_stacked_nodes(graph: AttributionGraph, reference: str, difference: str) -> str:
    """Write the reference rows' nodes and behind them the rows', float64: their difference is not rounded away."""
    if not graph.is_wide:
        reference, difference = graph.to_float64(reference, "nodes64"), graph.to_float64(difference, "differences64")
    return graph.op("Concat", [reference, graph.op("Add", [reference, difference], "row_nodes")], "stacked", axis=0)


def _scaling(outputs: OutputTransform | None) -> tuple[Values, Values]:
    """Scale and center of the network's outputs, float64."""
    if outputs is None or isinstance(outputs, Softmax):
        return np.ones(1), np.zeros(1)
    return outputs.scale.astype(np.float64), outputs.center.astype(np.float64)
