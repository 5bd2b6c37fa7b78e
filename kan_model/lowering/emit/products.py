"""Write nodes that multiply."""

import numpy as np

from kan_model.network.products import Products
from kan_model.onnx_graph import GraphBuilder


def emit_products(graph: GraphBuilder, sums: str, products: Products | None) -> str:
    """Write the nodes ``[rows, nodes]`` of a layer's sums ``[rows, sums]``.

    Nodes with equally many factors are written together: one Gather for each factor, and their products.
    """
    if products is None:
        return sums
    counts = np.array([len(node) for node in products.factors])
    values, order = [], []
    for count in np.unique(counts):
        nodes = np.flatnonzero(counts == count)
        factors = np.array([products.factors[node] for node in nodes])
        value, *others = (
            graph.op("Gather", [sums, graph.integers(column, "factor_sums")], "factors", axis=1) for column in factors.T
        )
        for other in others:
            value = graph.op("Mul", [value, other], "products")
        values.append(value)
        order += nodes.tolist()
    value = values[0] if len(values) == 1 else graph.op("Concat", values, "sums_and_products", axis=1)
    if order == sorted(order):
        return value
    return graph.op("Gather", [value, graph.integers(np.argsort(order), "order")], "in_order", axis=1)
