"""The basis functions in closed form, for uniform grids: all at once, without recursion.

In units of one interval, the B-spline at distance v from its centre is a sum of a few terms ±(s·(reach − v))₊^degree
(kan_model.splines.bspline.cardinal_terms, each weight taken into the scale s). HardSigmoid is
max(0, min(1, alpha·v + beta)): one operator computes s·(reach − v) and cuts it at 0. The scales are chosen so that no
value exceeds 1, where HardSigmoid would cut too.
"""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.strategies.change_of_basis import edge_coefficients
from kan_model.lowering.strategies.elementwise import clip, power, repeat
from kan_model.lowering.strategies.strategy import Columns, Term
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder
from kan_model.splines.bspline import cardinal_terms

Values = NDArray[np.float64]


class ClosedForm:
    """Uniform grids, any degree, both policies."""

    name = "closed_form"
    has_product = True

    def applies(self, layer: KANLayer) -> bool:
        """True if all grids of the layer are uniform."""
        return layer.knots is None

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Columns:
        """See :class:`kan_model.lowering.strategies.strategy.Strategy`."""
        low, high = layer.domain.detach().double().numpy().T
        interval = (high - low) / layer.grid_size
        coefficients = edge_coefficients(layer).transpose(2, 1, 0)
        count = len(coefficients)
        # Centres of the basis functions, in intervals from the middle of the domain: this rounds least.
        centres = np.arange(count) - (count - 1) / 2
        constant = np.zeros(coefficients.shape[1:])
        if layer.outside == "clamp":
            # Inside the domain the basis functions sum to 1, so one of them is 1 minus the others.
            middle = count // 2
            constant = coefficients[middle]
            coefficients = np.delete(coefficients - constant, middle, axis=0)
            centres = np.delete(centres, middle)
        if np.all(interval == interval[0]):
            unit = float(interval[0])
            centres = (low + high) / 2 + unit * centres[:, None]
            if layer.outside == "clamp":
                x = clip(graph, x, low, high)
        else:
            unit = 1.0
            centres = np.repeat(centres[:, None], layer.inputs, axis=1)
            x = _emit_cells(graph, x, low, high, layer)
        offset = graph.op("Sub", [repeat(graph, x, len(centres)), graph.floats(centres.ravel(), "centres")], "offset")
        distance = graph.op("Abs", [offset], "distance")
        basis, factor = _emit_basis(graph, distance, unit, layer.degree)
        peak = sum(weight * reach**layer.degree for reach, weight in cardinal_terms(layer.degree)) / factor
        return Columns((Term(basis, factor * coefficients, 0.0, peak),), constant)


def _emit_cells(graph: GraphBuilder, x: str, low: Values, high: Values, layer: KANLayer) -> str:
    """Write the inputs in units of intervals, from the middle of their domain."""
    x = graph.op("Sub", [x, graph.floats((low + high) / 2, "middle")], "centred")
    cells = graph.op("Mul", [x, graph.floats(layer.grid_size / (high - low), "cells_per_unit")], "cells")
    if layer.outside == "decay":
        return cells
    half = np.full(layer.inputs, layer.grid_size / 2)
    return clip(graph, cells, -half, half)


def _emit_basis(graph: GraphBuilder, distance: str, unit: float, degree: int) -> tuple[str, float]:
    """Write the basis functions; also return the factor by which they must be multiplied."""
    terms = cardinal_terms(degree)
    # (scale·(reach − v))^degree = |weight / weight0| · scale0^degree · (reach − v)^degree
    ratios = [abs(weight / terms[0][1]) ** (1 / degree) for _, weight in terms]
    first = min(1 / (reach * ratio) for (reach, _), ratio in zip(terms, ratios, strict=True))
    basis = ""
    for (reach, weight), ratio in zip(terms, ratios, strict=True):
        scale = first * ratio
        # Beta is at most 1. Rounding must not make it larger, because HardSigmoid cuts at 1.
        tail = graph.op("HardSigmoid", [distance], "tail", alpha=-scale / unit, beta=min(scale * reach, 1.0))
        summand = power(graph, tail, degree)
        basis = graph.op("Add" if weight > 0 else "Sub", [basis, summand], "basis") if basis else summand
    return basis, terms[0][1] / first**degree
