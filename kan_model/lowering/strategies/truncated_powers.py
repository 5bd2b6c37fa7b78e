"""Truncated powers from the middle outwards: for coarse grids under ``clamp``, more exact than radial powers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.strategies.change_of_basis import as_float32, inner_knots, spline_weights
from kan_model.lowering.strategies.elementwise import clip, power, repeat
from kan_model.lowering.strategies.strategy import Columns, Term, Weights
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]
# With more intervals the powers of the outer knots cancel too many digits.
_MAX_INTERVALS = 32


class TruncatedPowers:
    """Any grid, any degree, ``clamp`` only.

    Inside the domain a spline is a polynomial plus one truncated power per knot t: (x − t)₊^degree for knots right of
    the middle, (t − x)₊^degree for knots left of it. So each power runs away from the middle and stays small. The
    polynomial is written in powers of x − centre. If a knot t is in the middle, both (x − t)₊^degree and
    (t − x)₊^degree are used, and together they replace the highest power of the polynomial.
    """

    name = "truncated_powers"
    has_product = True

    def applies(self, layer: KANLayer) -> bool:
        """True under clamp, up to 32 intervals."""
        return layer.outside == "clamp" and layer.grid_size <= _MAX_INTERVALS

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Columns:
        """See :class:`kan_model.lowering.strategies.strategy.Strategy`."""
        plan = _plan(layer)
        low, high = layer.domain.detach().double().numpy().T
        weight = spline_weights(layer, lambda points, part: _functions(points, plan, part, layer.degree))
        inside = clip(graph, x, low, high)
        count, terms = len(plan.starts), []
        if count:
            # Columns alternate: (−x) − (−t), x − t, …
            both = graph.op("Concat", [graph.op("Neg", [inside], "mirrored"), inside], "both_ways", axis=1)
            starts = graph.floats(np.concatenate(plan.starts), "knots")
            beyond = graph.op(
                "Relu", [graph.op("Sub", [repeat(graph, both, count // 2), starts], "distance")], "beyond"
            )
            ends = [-low, high] * (count // 2)
            longest = max(float((end - start).max()) for end, start in zip(ends, plan.starts, strict=True))
            terms.append(Term(power(graph, beyond, layer.degree), weight[:count], 0.0, longest**layer.degree))
        terms += _emit_monomials(graph, inside, (low, high), plan.centre, weight[count:-1])
        return Columns(tuple(terms), weight[-1])


@dataclass(frozen=True)
class _Plan:
    """The functions that are written.

    Attributes:
        starts: The starts of the truncated powers, ``[inputs]`` each, rounded to float32. They alternate: −t of a
            mirrored power (−x − (−t))₊, then t of a power (x − t)₊, and so on.
        monomials: The number of powers of x − centre.
        centre: ``[inputs]``.
    """

    starts: list[Values]
    monomials: int
    centre: Values


def _plan(layer: KANLayer) -> _Plan:
    knots = inner_knots(layer)
    left, right = list(knots[: len(knots) // 2][::-1]), list(knots[len(knots) // 2 :])
    if len(left) < len(right):
        centre = right[0]
        return _Plan(_alternate([centre, *left], right), layer.degree - 1, centre)
    centre = as_float32(layer.domain.detach().double().numpy().mean(axis=1))
    return _Plan(_alternate(left, right), layer.degree, centre)


def _alternate(left: list[Values], right: list[Values]) -> list[Values]:
    return [start for pair in zip(left, right, strict=True) for start in (-pair[0], pair[1])]


def _functions(points: Values, plan: _Plan, part: slice, degree: int) -> Values:
    signs = [-1.0, 1.0] * (len(plan.starts) // 2)
    powers = [
        np.maximum(sign * points - start[part], 0) ** degree for sign, start in zip(signs, plan.starts, strict=True)
    ]
    monomials = [(points - plan.centre[part]) ** exponent for exponent in range(1, plan.monomials + 1)]
    return np.stack([*powers, *monomials, np.ones_like(points)])


def _emit_monomials(
    graph: GraphBuilder, x: str, domain: tuple[Values, Values], centre: Values, weight: Weights
) -> list[Term]:
    """Write the powers 1, 2, … of x − centre, one for each row of ``weight``.

    Args:
        graph: The graph to write to.
        x: ``[rows, inputs]``, inside the domain.
        domain: The ends of the domain, ``[inputs]`` each.
        centre: ``[inputs]``, rounded to float32.
        weight: ``[powers, inputs, outputs]``.
    """
    if len(weight) and np.any(centre):
        x = graph.op("Sub", [x, graph.floats(centre, "centre")], "centred")
    least, most = float((domain[0] - centre).min()), float((domain[1] - centre).max())
    value, terms = x, []
    for exponent in range(1, len(weight) + 1):
        if exponent > 1:
            value = graph.op("Mul", [value, x], "monomial")
        low, high = (least**exponent, most**exponent) if exponent % 2 else (0.0, max(-least, most) ** exponent)
        terms.append(Term(value, weight[exponent - 1 : exponent], low, high))
    return terms
