"""The basis in closed form, for uniform grids: every function at once, without recursion.

In units of one interval the B-spline at distance v from its centre is a short sum of weight·(reach − v)₊^degree
(kan_model.bspline.cardinal_terms). The widest term's weight is a factor of all and goes into the MatMul.
"""

import numpy as np

from kan_model.bspline import cardinal_terms
from kan_model.layer import KANLayer
from kan_model.lowering.graph import GraphBuilder


class ClosedForm:
    """Uniform grids, any degree, both policies."""

    name = "closed_form"

    def applies(self, layer: KANLayer) -> bool:
        """True where every grid of the layer is uniform."""
        return layer.knots is None

    def emit_basis(self, graph: GraphBuilder, layer: KANLayer, x: str) -> tuple[str, float]:
        """See :class:`kan_model.lowering.strategy.Strategy`."""
        cells = _emit_cells(graph, layer, x)
        centres = np.arange(layer.grid_size + layer.degree) + ((1 - layer.degree) - layer.grid_size) / 2
        offset = graph.op("Sub", [cells, graph.floats(centres[:, None], "centres")], "offset")
        distance = graph.op("Abs", [offset], "distance")
        (reach, factor), *inner = cardinal_terms(layer.degree)
        basis = _emit_power(graph, distance, reach, layer.degree)
        for reach, weight in inner:
            power = _emit_power(graph, distance, reach, layer.degree)
            term = graph.op("Mul", [power, graph.floats(weight / factor, "weight")], "term")
            basis = graph.op("Add", [basis, term], "basis")
        return basis, factor


def _emit_cells(graph: GraphBuilder, layer: KANLayer, x: str) -> str:
    """Inputs in intervals from the middle of their domain, ``[rows, 1, inputs]``; the middle rounds least."""
    low, high = layer.domain.double().numpy().T
    middle = (low + high) / 2
    if np.any(middle):
        x = graph.op("Sub", [x, graph.floats(middle, "domain_middle")], "centred")
    cells = graph.op("Mul", [x, graph.floats(layer.grid_size / (high - low), "cells_per_unit")], "cells")
    if layer.outside == "clamp":
        half = layer.grid_size / 2
        cells = graph.op("Clip", [cells, graph.floats(-half, "first"), graph.floats(half, "last")], "clipped")
    return graph.op("Unsqueeze", [cells, graph.integers([1], "grid_axis")], "cells_by_grid")


def _emit_power(graph: GraphBuilder, distance: str, reach: float, degree: int) -> str:
    """(reach − distance)₊^degree by multiplications: Pow is many times slower."""
    tail = graph.op("Relu", [graph.op("Sub", [graph.floats(reach, "reach"), distance], "tail")], "tail_positive")
    power = tail
    for bit in f"{degree:b}"[1:]:
        power = graph.op("Mul", [power, power], "power")
        if bit == "1":
            power = graph.op("Mul", [power, tail], "power")
    return power
