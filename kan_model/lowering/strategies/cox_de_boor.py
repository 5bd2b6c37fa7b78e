"""The basis functions by the Cox–de Boor recursion, unrolled: slow, and correct on every grid."""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.strategies.change_of_basis import edge_coefficients
from kan_model.lowering.strategies.elementwise import clip
from kan_model.lowering.strategies.strategy import Columns, Term
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]


class CoxDeBoor:
    """Any grid, any degree, both policies: the reference."""

    name = "cox_de_boor"
    has_product = True

    def applies(self, layer: KANLayer) -> bool:  # noqa: ARG002 - no grid is refused
        """Always true."""
        return True

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Columns:
        """See :class:`kan_model.lowering.strategies.strategy.Strategy`."""
        # [knots, inputs], rounded to float32 first, so that differences are those of the stored knots.
        knots = layer.all_knots().detach().float().double().numpy().T
        if layer.outside == "clamp":
            x = clip(graph, x, knots[layer.degree], knots[-layer.degree - 1])
        x = graph.op("Unsqueeze", [x, graph.integers([1], "grid_axis")], "x_by_grid")
        from_knot = graph.op("Sub", [x, graph.floats(knots, "knots")], "from_knot")
        values = _emit_intervals(graph, from_knot, len(knots))
        for order in range(1, layer.degree + 1):
            values = _emit_step(graph, from_knot, knots, values, order)
        basis = graph.op("Reshape", [values, graph.integers([0, -1], "flat_shape")], "basis")
        coefficients = edge_coefficients(layer).transpose(2, 1, 0)
        return Columns((Term(basis, coefficients, 0.0, 1.0),), np.zeros(coefficients.shape[1:]))


def _emit_intervals(graph: GraphBuilder, from_knot: str, count: int) -> str:
    """Write 1 for the interval that holds x, 0 for the others: ``[rows, knots - 1, inputs]``."""
    reached = graph.op("GreaterOrEqual", [from_knot, graph.floats(0, "zero")], "reached")
    steps = graph.op("Cast", [reached], "steps", to=1)
    return graph.op("Sub", [_slice(graph, steps, 0, count - 1), _slice(graph, steps, 1, count)], "order0")


def _emit_step(graph: GraphBuilder, from_knot: str, knots: Values, values: str, order: int) -> str:
    """Write the basis functions of degree ``order`` from those of degree ``order - 1``."""
    count = len(knots) - order - 1
    width = knots[order:] - knots[:-order]
    rising = graph.op(
        "Mul", [_slice(graph, from_knot, 0, count), graph.floats(1 / width[:-1], f"rise{order}")], f"rising{order}"
    )
    falling = graph.op(
        "Mul",
        [_slice(graph, from_knot, order + 1, len(knots)), graph.floats(-1 / width[1:], f"fall{order}")],
        f"falling{order}",
    )
    left = graph.op("Mul", [rising, _slice(graph, values, 0, count)], f"left{order}")
    right = graph.op("Mul", [falling, _slice(graph, values, 1, count + 1)], f"right{order}")
    return graph.op("Add", [left, right], f"order{order}")


def _slice(graph: GraphBuilder, value: str, start: int, end: int) -> str:
    """Write the entries start … end - 1 along the grid axis."""
    bounds = [graph.integers([bound], f"at{bound}") for bound in (start, end, 1)]
    return graph.op("Slice", [value, *bounds], f"{value.rsplit('/', 1)[-1]}_{start}_{end}")
