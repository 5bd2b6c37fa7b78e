"""Write a layer's node values: splines, base branch and symbolic edges in as few matrix products as possible."""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.emit.precision import Precision, emit_product
from kan_model.lowering.emit.silu import base_weights, emit_exact_silu, emit_silu, slope_weights
from kan_model.lowering.emit.straight import curved_inputs, emit_curved, emit_straight
from kan_model.lowering.emit.symbolic_edges import emit_symbolic_nodes
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.lowering.strategies.strategy import Gathered, Strategy, Term
from kan_model.network.connections import select_nodes
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]


def emit_nodes(
    graph: GraphBuilder, layer: KANLayer, x: str, strategy: Strategy, precision: Precision, constant: Values
) -> str:
    """Write node values ``[rows, outputs]``.

    Args:
        graph: The graph to write to.
        layer: The layer.
        x: The layer's inputs ``[rows, inputs]``.
        strategy: The strategy that writes the splines.
        precision: Number format of the largest product.
        constant: ``[outputs]``, added to the nodes.
    """
    total = emit_symbolic_nodes(graph, layer, x) if layer.symbolic else None
    read = np.flatnonzero(layer.edge_mask.numpy().any(axis=0))
    if total is not None and not len(read):
        return _emit_sum(graph, total, constant)
    if not len(read):
        nothing = np.zeros((layer.inputs, layer.outputs))
        return emit_product(graph, x, nothing, graph.floats(constant, "constant"))
    if len(read) < layer.inputs:
        layer = select_nodes(layer, read, np.arange(layer.outputs))
        x = graph.op("Gather", [x, graph.integers(read, "spline_inputs")], "read", axis=1)
    return _emit_edges(graph, layer, x, strategy, precision, constant, total)


def _emit_edges(
    graph: GraphBuilder,
    layer: KANLayer,
    x: str,
    strategy: Strategy,
    precision: Precision,
    constant: Values,
    total: str | None,
) -> str:
    """Write splines and base branch. Each product is added to ``total`` by Gemm's third input, without a copy."""
    # The base branch reads all inputs, also where its weights are 0: it carries NaN, which a Clip may lose.
    # The recursion is the slowest strategy and the last resort: with it the base branch is exact too.
    write_silu = emit_exact_silu if isinstance(strategy, CoxDeBoor) else emit_silu
    weights, slopes = base_weights(layer), slope_weights(layer)
    if slopes is not None and not weights.any():
        base = (x, slopes.T)
    else:
        base = (write_silu(graph, x), weights.T)
        total = total if slopes is None else _emit_gemm(graph, [(x, slopes.T)], total)
    straight, curved = None, curved_inputs(layer)
    if len(curved) < layer.inputs:
        straight, sums = emit_straight(graph, layer, x, curved)
        constant = constant + sums
    if straight and not len(curved):
        total = graph.floats(constant, "constant") if total is None else _emit_sum(graph, total, constant)
        return _emit_gemm(graph, [straight], _emit_gemm(graph, [base], total))
    if straight:
        x = emit_curved(graph, x, curved, layer.inputs)
        layer = select_nodes(layer, curved, np.arange(layer.outputs))
    splines = strategy.emit(graph, layer, x)
    if isinstance(splines, Gathered):
        gathered = _emit_gathered(graph, splines, layer)
        total = gathered if total is None else graph.op("Add", [total, gathered], "splines_and_symbolic")
        total = _emit_gemm(graph, [base], _emit_sum(graph, total, constant))
        return _emit_gemm(graph, [straight], total) if straight else total
    constant = constant + splines.constant.sum(axis=0)
    if total is not None:
        total = _emit_sum(graph, total, constant)
    elif np.any(constant):
        total = graph.floats(constant, "constant")
    if straight:
        total = _emit_gemm(graph, [straight], total)
    *small, largest = sorted(splines.terms, key=lambda term: len(term.weight))
    parts = [base, *((term.value, _flat(term)) for term in small)]
    # Two products are faster than one product of the concatenated factors; three or more are slower.
    for group in [[part] for part in parts] if len(parts) == 2 else [parts]:
        total = _emit_gemm(graph, group, total)
    return emit_product(graph, largest.value, _flat(largest), total, precision, largest.low, largest.high)


def _flat(term: Term) -> Values:
    """Weights ``[columns·inputs, outputs]``."""
    return term.weight.reshape(-1, term.weight.shape[-1])


def _emit_sum(graph: GraphBuilder, value: str, constant: Values) -> str:
    return graph.op("Add", [value, graph.floats(constant, "constant")], "with_constant") if np.any(constant) else value


def _emit_gemm(graph: GraphBuilder, parts: list[tuple[str, Values]], addend: str | None) -> str:
    """Write Σ value · weight + addend for values ``[rows, n]`` and weights ``[n, outputs]``."""
    values = [value for value, _ in parts]
    value = values[0] if len(values) == 1 else graph.op("Concat", values, "side_by_side", axis=1)
    return emit_product(graph, value, np.concatenate([weight for _, weight in parts]), addend)


def _emit_gathered(graph: GraphBuilder, splines: Gathered, layer: KANLayer) -> str:
    """Write, for each row of the batch, its vector of powers times its own matrix of coefficients."""
    numbers = layer.inputs * (layer.degree + 1)
    powers = graph.op("Reshape", [splines.powers, graph.integers([0, 1, numbers], "as_row")], "powers_as_row")
    shape = graph.integers([0, numbers, layer.outputs], "as_matrix")
    coefficients = graph.op("Reshape", [splines.coefficients, shape], "polynomials_as_matrix")
    product = graph.op("MatMul", [powers, coefficients], "splines_by_row")
    return graph.op("Reshape", [product, graph.integers([0, layer.outputs], "as_nodes")], "splines")
