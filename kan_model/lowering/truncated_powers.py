"""Truncated powers from the middle outwards: the fewest ops there are, for coarse grids under ``clamp``."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kan_model.layer import KANLayer
from kan_model.lowering.columns import spline_weights
from kan_model.lowering.elementwise import clip, power, repeat
from kan_model.lowering.graph import GraphBuilder
from kan_model.lowering.strategy import Columns, Term

Values = NDArray[np.float64]
# Beyond it the powers of the outer knots cancel too many digits to be worth a try.
_MAX_INTERVALS = 32


Polynomial = Literal["ends", "centred", "monomials"]


@dataclass(frozen=True)
class TruncatedPowers:
    """Any grid, any degree, ``clamp`` only.

    Inside the domain a spline is a polynomial plus one truncated power a knot: (x − t)₊^degree for knots right of
    the middle, (t − x)₊^degree for those left of it, so that each starts at the middle and is small.

    Attributes:
        polynomial: How it is written. "ends": as x and powers that start at the domain's ends, the fewest ops.
            "centred": as 1 … degree − 1 powers of x − centre and two truncated powers from the centre, which cancels
            far less. "monomials": as 1 … degree powers of x − centre, the fewest columns.
    """

    polynomial: Polynomial = "ends"

    @property
    def name(self) -> str:
        """As it stands in the manifest."""
        return "truncated_powers" if self.polynomial == "ends" else f"truncated_powers_{self.polynomial}"

    @property
    def has_product(self) -> bool:
        """True: fixed functions, fixed weights."""
        return True

    def applies(self, layer: KANLayer) -> bool:
        """True under clamp, up to 32 intervals; with an odd number of knots inside, monomials are what centred is."""
        own = self.polynomial != "monomials" or layer.grid_size % 2 == 1
        return own and layer.outside == "clamp" and layer.grid_size <= _MAX_INTERVALS

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Columns:
        """See :class:`kan_model.lowering.strategy.Strategy`."""
        plan = _plan(layer, self.polynomial)
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
        value = inside
        if plan.exponents and np.any(plan.centre):
            value = inside = graph.op("Sub", [inside, graph.floats(plan.centre, "centre")], "centred")
        reach = float(np.maximum(high - plan.centre, plan.centre - low).max())
        for place, exponent in enumerate(plan.exponents, start=count):
            if exponent > 1:
                value = graph.op("Mul", [value, inside], "monomial")
            terms.append(Term(value, weight[place : place + 1], -(reach**exponent), reach**exponent))
        return Columns(tuple(terms), weight[-1])


@dataclass(frozen=True)
class _Plan:
    """The functions.

    Attributes:
        starts: Where truncated powers start, ``[inputs]`` each: first a mirrored one (−t), then one as it is (t), and
            so on; as float32 holds them.
        exponents: 1, 2, … of the powers of x − centre.
        centre: ``[inputs]``.
    """

    starts: list[Values]
    exponents: range
    centre: Values


def _plan(layer: KANLayer, polynomial: Polynomial) -> _Plan:
    degree = layer.degree
    knots = layer.all_knots().detach().double().numpy().T
    inner = knots[degree + 1 : degree + layer.grid_size]
    low, high = layer.domain.detach().double().numpy().T
    left, right = list(inner[: len(inner) // 2][::-1]), list(inner[len(inner) // 2 :])
    if polynomial == "ends":
        # With x itself as a column, degree − 1 powers make the polynomial; an odd number is made even without it.
        linear = (len(inner) + degree - 1) % 2 == 0
        half = (len(inner) + degree - linear) // 2
        left += [high + i * (high - low) for i in range(half - len(left))]
        right += [low - i * (high - low) for i in range(half - len(right))]
        return _Plan(_alternating(left, right), range(1, 1 + linear), _rounded(np.zeros_like(low)))
    if len(inner) % 2:
        # The knot in the middle, from which powers go both ways.
        centre = _rounded(right[0])
        return _Plan(_alternating([centre, *left], right), range(1, degree), centre)
    centre = _rounded((low + high) / 2)
    if polynomial == "monomials":
        return _Plan(_alternating(left, right), range(1, degree + 1), centre)
    return _Plan(_alternating([centre, *left], [centre, *right]), range(1, degree), centre)


def _alternating(left: list[Values], right: list[Values]) -> list[Values]:
    return [_rounded(start) for pair in zip(left, right, strict=True) for start in (-pair[0], pair[1])]


def _rounded(values: Values) -> Values:
    """As float32 holds them."""
    return values.astype(np.float32).astype(np.float64)


def _functions(points: Values, plan: _Plan, part: slice, degree: int) -> Values:
    signs = [-1.0, 1.0] * (len(plan.starts) // 2)
    powers = [
        np.maximum(sign * points - start[part], 0) ** degree for sign, start in zip(signs, plan.starts, strict=True)
    ]
    monomials = [(points - plan.centre[part]) ** exponent for exponent in plan.exponents]
    return np.stack([*powers, *monomials, np.ones_like(points)])
