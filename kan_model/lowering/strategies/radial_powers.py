"""Powers of the distance from each knot: the fastest strategy for coarse grids under ``clamp``."""

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.strategies.change_of_basis import as_float32, inner_knots, spline_weights
from kan_model.lowering.strategies.elementwise import clip, power, repeat
from kan_model.lowering.strategies.strategy import Columns, Term
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]
# With more intervals the powers cancel too many digits.
_MAX_INTERVALS = 32


class RadialPowers:
    """Any grid, any degree, ``clamp`` only.

    Inside the domain a spline is a polynomial plus a multiple of |x − t|^degree for each knot t. For even degrees the
    function is (x − t)·|x − t|^(degree − 1). Its last derivative jumps at t, as that of (x − t)₊^degree does, and it
    needs no mirrored copy of x. Example, degree 1 on [0, 2] with a knot at 1: the hat at 1 is 1 − |x − 1|.

    The polynomial is x and such powers at the domain's ends and beyond: this takes the fewest operators.
    """

    name = "radial_powers"
    has_product = True

    def applies(self, layer: KANLayer) -> bool:
        """True under clamp, up to 32 intervals."""
        return layer.outside == "clamp" and layer.grid_size <= _MAX_INTERVALS

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Columns:
        """See :class:`kan_model.lowering.strategies.strategy.Strategy`."""
        degree = layer.degree
        low, high = layer.domain.detach().double().numpy().T
        knots = _knots(layer, degree - 1)

        def functions(points: Values, part: slice) -> Values:
            powers = _radial(points - knots[:, None, part], degree)
            return np.concatenate([powers, np.stack([points, np.ones_like(points)])])

        weight = spline_weights(layer, functions)
        inside = clip(graph, x, low, high)
        count, terms = len(knots), []
        if count:
            from_knots = graph.op(
                "Sub", [repeat(graph, inside, count), graph.floats(knots.ravel(), "knots")], "from_knots"
            )
            value = _emit_radial(graph, from_knots, degree)
            least, most = _radial(low - knots, degree).min(), _radial(high - knots, degree).max()
            if degree % 2:
                least, most = 0.0, max(_radial(low - knots, degree).max(), most)
            terms.append(Term(value, weight[:count], float(least), float(most)))
        terms.append(Term(inside, weight[count:-1], float(low.min()), float(high.max())))
        return Columns(tuple(terms), weight[-1])


def _knots(layer: KANLayer, further: int) -> Values:
    """Inner knots, and ``further`` ones at the domain's ends and one domain beyond: ``[knots, inputs]``, ascending.

    The order matters: the powers of neighbouring knots cancel, and sums of neighbours stay small.
    """
    low, high = layer.domain.detach().double().numpy().T
    ends = as_float32(np.stack([low, high, 2 * low - high, 2 * high - low])[:further])
    return np.sort(np.concatenate([inner_knots(layer), ends]), axis=0)


def _radial(from_knot: Values, degree: int) -> Values:
    distance = np.abs(from_knot)
    return distance**degree if degree % 2 else from_knot * distance ** (degree - 1)


def _emit_radial(graph: GraphBuilder, from_knot: str, degree: int) -> str:
    """Write :func:`_radial` as operators."""
    distance = graph.op("Abs", [from_knot], "distance")
    if degree % 2:
        return power(graph, distance, degree)
    return graph.op("Mul", [from_knot, power(graph, distance, degree - 1)], "signed_power")
