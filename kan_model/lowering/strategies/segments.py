"""Truncated powers inside segments of the grid: for any grid, degree and policy, also for fine grids."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.strategies.change_of_basis import as_float32, spline_weights
from kan_model.lowering.strategies.cuts import Cuts, cut_by_jumps, even_cuts
from kan_model.lowering.strategies.elementwise import power, repeat
from kan_model.lowering.strategies.strategy import Columns, Term
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

Values = NDArray[np.float64]
_MAX_COLUMNS = 96


@dataclass(frozen=True)
class Segments:
    """Any grid, any degree, both policies: the domain is cut into segments with truncated powers of their own.

    A spline is its value at the left end plus its change in each segment. A segment reads x clipped to itself. It has
    ``degree`` powers for the polynomial in its middle and one power for each inner knot, which starts at the knot and
    runs to the nearer end. So no power exceeds half of the segment's width, and few digits cancel. The price is
    ``degree − 1`` more columns per segment. An uneven grid is cut where the powers stay smallest, for each input on its
    own. Under ``decay`` each tail beyond the domain is one segment.

    Attributes:
        intervals: The largest number of grid intervals in one segment.
        in_float64: The knots are not rounded to float32, for a graph that computes in float64.
    """

    intervals: int
    in_float64: bool = False

    @property
    def name(self) -> str:
        """The name in the manifest."""
        return f"segments_{self.intervals}"

    @property
    def has_product(self) -> bool:
        """Always true: the weights are fixed."""
        return True

    def applies(self, layer: KANLayer) -> bool:
        """True if it takes at most 96 columns per input and the grid has more than half a segment's intervals."""
        smaller = layer.grid_size > self.intervals // 2
        return smaller and len(_columns(layer, self)) <= _MAX_COLUMNS

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Columns:
        """See :class:`kan_model.lowering.strategies.strategy.Strategy`."""
        columns = _columns(layer, self)
        low, high, start = (np.stack([getattr(c, name) for c in columns]) for name in ("low", "high", "start"))
        value = repeat(graph, x, len(columns))
        value = graph.op("Min", [value, graph.floats(high.ravel(), "high")], "up_to_high")
        value = graph.op("Max", [value, graph.floats(low.ravel(), "low")], "within")
        value = graph.op("Sub", [value, graph.floats(start.ravel(), "start")], "from_start")
        value = power(graph, value, layer.degree)

        def functions(points: Values, part: slice) -> Values:
            clipped = np.clip(points, low[:, None, part], high[:, None, part])
            powers = (clipped - start[:, None, part]) ** layer.degree
            return np.concatenate([powers, np.ones((1, *points.shape))])

        # Uneven grids are cut by the coefficients.
        weight = spline_weights(layer, functions, by_knots=layer.knots is None)
        ends = np.stack([(low - start) ** layer.degree, (high - start) ** layer.degree])
        return Columns((Term(value, weight[:-1], float(ends.min()), float(ends.max())),), weight[-1])


@dataclass(frozen=True)
class _Column:
    """The function (clip(x, low, high) − start)^degree; ``[inputs]`` each, rounded to float32."""

    low: Values
    high: Values
    start: Values


def _columns(layer: KANLayer, segments: Segments) -> list[_Column]:
    knots = layer.all_knots().detach().double().numpy().T
    knots = knots if segments.in_float64 else as_float32(knots)
    degree, size = layer.degree, layer.grid_size
    count = -(-size // segments.intervals)
    breaks = knots[degree : degree + size + 1]
    cuts = even_cuts(size, count, layer.inputs) if layer.knots is None else cut_by_jumps(layer, breaks, count)
    columns = _in_segments(breaks, cuts, degree, segments.in_float64)
    if layer.outside == "decay":
        # The tails start at the outermost knots, where the spline and degree − 1 derivatives are 0: one power per knot.
        before, after = knots[: degree + 1], knots[-degree - 1 :]
        columns += [_Column(before[i], before[-1], before[i]) for i in range(degree)]
        columns += [_Column(after[0], after[-1 - i], after[-1 - i]) for i in range(degree)]
    return columns


def _in_segments(breaks: Values, cuts: Cuts, degree: int, in_float64: bool) -> list[_Column]:
    """The columns of all segments. Those of a segment stand together, because sums of neighbours stay small."""
    ends = np.take_along_axis(breaks, cuts.ends, axis=0)
    columns, segments = [], []
    for segment, (low, high) in enumerate(pairwise(ends)):
        columns += [_Column(low, high, start) for start in _starts(low, high, degree, in_float64)]
        segments += [np.full(len(low), segment)] * degree
    for place in cuts.inner:
        segment_of = (cuts.ends[1:] <= place).sum(axis=0)
        low, high, knot = (
            np.take_along_axis(values, places[None], axis=0)[0]
            for values, places in ((ends, segment_of), (ends, segment_of + 1), (breaks, place))
        )
        to_low = knot - low < high - knot
        columns.append(_Column(np.where(to_low, low, knot), np.where(to_low, knot, high), knot))
        segments.append(segment_of)
    order = np.argsort(np.stack(segments), axis=0, kind="stable")
    low, high, start = (
        np.take_along_axis(np.stack([getattr(column, name) for column in columns]), order, axis=0)
        for name in ("low", "high", "start")
    )
    return [_Column(*each) for each in zip(low, high, start, strict=True)]


def _starts(low: Values, high: Values, degree: int, in_float64: bool) -> list[Values]:
    """``degree`` different starts, whose powers span the polynomials; the first two are the segment's ends."""
    starts = [low, high, (low + high) / 2, 2 * low - high, 2 * high - low][:degree]
    return starts if in_float64 else list(map(as_float32, starts))
