"""Write what nodes that multiply leave for the way back: the slope of each node by each of its sums.

The slope is the Shapley value of the factor divided by its difference, a mean over the way from the reference row to
the row (:func:`kan_model.network.products.shapley_slopes`). Of two factors it is the mean of the other one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.attribution.graph import AttributionGraph
from kan_model.network.products import Products

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """The slopes of a layer's nodes.

    Attributes:
        products: Which sums make which node.
        value: ``[rows, sums]``, the slope of each sum's node by it.
    """

    products: Products
    value: str


def emit_factors(graph: AttributionGraph, products: Products, reference: str, moves: str, scale: Values) -> Factors:
    """Write the slopes.

    Args:
        graph: The graph to write to.
        products: Which sums make which node.
        reference: ``[1 or rows, sums]``, the sums on the reference rows.
        moves: ``[rows, sums]``, the sums on the rows minus those.
        scale: ``[1 or nodes]``, by which the nodes are multiplied afterwards.
    """
    total = None
    for place, weight in products.mean_points():
        part = graph.op("Mul", [moves, graph.floats(place, "place")], "part_of_way")
        on_way = graph.op("Add", [reference, part], "on_way")
        pads = graph.integers([0, 0, 0, 1], "one_more")
        padded = graph.op("Pad", [on_way, pads, graph.floats(1.0, "one")], "sums_and_one")
        term = None
        for places in products.other_places():
            other = graph.op("Gather", [padded, graph.integers(places, "other_sums")], "other_factor", axis=1)
            term = other if term is None else graph.op("Mul", [term, other], "other_factors")
        assert term is not None
        weighted = graph.op("Mul", [term, graph.floats(weight, "weight_of_place")], "weighted")
        total = weighted if total is None else graph.op("Add", [total, weighted], "slopes")
    assert total is not None
    by_sum = np.broadcast_to(scale, products.nodes)[products.node_of]
    if np.any(by_sum != 1):
        total = graph.op("Mul", [total, graph.floats(by_sum, "scale_of_node")], "scaled_slopes")
    return Factors(products, total)


def emit_node_moves(graph: AttributionGraph, factors: Factors, moves: str) -> str:
    """Write the differences of the nodes, ``[rows, nodes]``: each factor's share of it, added up."""
    shares = graph.op("Mul", [moves, factors.value], "shares")
    return graph.op("MatMul", [shares, graph.floats(_sum_to_node(factors.products), "sum_to_node")], "node_differences")


def emit_scaled(graph: AttributionGraph, nodes: str, scale: Values, center: Values) -> str:
    """Write nodes · scale + center."""
    if np.any(scale != 1):
        nodes = graph.op("Mul", [nodes, graph.floats(scale, "scale")], "scaled_nodes")
    return graph.op("Add", [nodes, graph.floats(center, "center")], "raw_nodes") if np.any(center) else nodes


def emit_to_sums(graph: AttributionGraph, behind: str | None, factors: Factors) -> str:
    """Write the multipliers of a layer's sums, ``[rows, answers, sums]``.

    Args:
        graph: The graph to write to.
        behind: Those of its nodes, ``[rows, answers, nodes]``; None: the layer is the last one, and they are 1 for the
            answer that is the node.
        factors: Of the layer.
    """
    products = factors.products
    by_answer = graph.op("Unsqueeze", [factors.value, graph.integers([1], "answers_axis")], "slopes_by_answer")
    if behind is None:
        return graph.op(
            "Mul", [by_answer, graph.floats(_sum_to_node(products).T, "node_of_sum")], "multipliers_of_sums"
        )
    each = graph.op("Gather", [behind, graph.integers(products.node_of, "node_of_sum")], "multipliers_by_sum", axis=2)
    return graph.op("Mul", [each, by_answer], "multipliers_of_sums")


def _sum_to_node(products: Products) -> Values:
    """``[sums, nodes]``, 1 where the sum is a factor of the node."""
    return np.eye(products.nodes)[products.node_of]
