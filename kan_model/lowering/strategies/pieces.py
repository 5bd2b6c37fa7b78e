"""One polynomial per interval, read from a table: for fine grids, where most basis functions are 0 at each x."""

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from kan_model.lowering.strategies.change_of_basis import as_float32, edge_coefficients
from kan_model.lowering.strategies.elementwise import clip, repeat
from kan_model.lowering.strategies.strategy import Gathered
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder
from kan_model.splines.bspline import basis

Values = NDArray[np.float64]
# The table repeats each coefficient degree + 1 times.
_MAX_TABLE_BYTES = 512 * 1024**2
_INPUTS_AT_ONCE = 16


class Pieces:
    """Any grid, any degree, both policies."""

    name = "pieces"
    has_product = False

    def applies(self, layer: KANLayer) -> bool:
        """True if the table takes at most 512 MiB."""
        numbers = layer.inputs * layer.outputs * (layer.degree + 1) * (layer.grid_size + 2 * layer.degree)
        return 4 * numbers <= _MAX_TABLE_BYTES

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Gathered:
        """See :class:`kan_model.lowering.strategies.strategy.Strategy`."""
        ends = layer.all_knots().detach().double().numpy().T
        if layer.outside == "clamp":
            ends = ends[layer.degree : -layer.degree]
        share, row = (_emit_uniform if layer.knots is None or len(ends) == 2 else _emit_any)(graph, x, ends)
        table = graph.floats(_table(layer, ends), "polynomials")
        return Gathered(_emit_powers(graph, share, layer.degree), graph.op("Gather", [table, row], "polynomial"))


def _emit_uniform(graph: GraphBuilder, x: str, ends: Values) -> tuple[str, str]:
    """Write the position of x in its interval (0 … 1) and the interval's row in the table, ``[rows, inputs]`` each."""
    low, high, count = ends[0], ends[-1], len(ends) - 1
    inside = clip(graph, x, low, high)
    from_low = graph.op("Sub", [inside, graph.floats(low, "low")], "from_low_end")
    cells = graph.op("Mul", [from_low, graph.floats(count / (high - low), "cells_per_unit")], "cells")
    last = graph.floats(count - 1, "last_cell")
    cell = graph.op("Min", [graph.op("Floor", [cells], "floor"), last], "cell")
    share = graph.op("Sub", [cells, cell], "share")
    # Cast makes an arbitrary integer of NaN. Without the Clip, Gather would fail for the whole batch.
    whole = graph.op("Cast", [cell], "cell_integer", to=7)
    interval = graph.op("Clip", [whole, graph.integers(0, "first"), graph.integers(count - 1, "last")], "interval")
    return share, _emit_row(graph, interval, ends)


def _emit_any(graph: GraphBuilder, x: str, ends: Values) -> tuple[str, str]:
    """The same as :func:`_emit_uniform` on any grid: the interval is the number of inner knots at or below x."""
    ends = as_float32(ends)
    inputs, inner = ends.shape[1], ends[1:-1]
    inside = clip(graph, x, ends[0], ends[-1])
    repeated = repeat(graph, inside, len(inner))
    reached = graph.op("GreaterOrEqual", [repeated, graph.floats(inner.ravel(), "knots")], "reached")
    steps = graph.op("Cast", [reached], "steps", to=1)
    by_knot = graph.op("Reshape", [steps, graph.integers([0, len(inner), inputs], "by_knot")], "steps_by_knot")
    count = graph.op("ReduceSum", [by_knot, graph.integers([1], "knot_axis")], "knots_reached", keepdims=0)
    row = _emit_row(graph, graph.op("Cast", [count], "interval", to=7), ends)
    left = graph.op("Gather", [graph.floats(ends[:-1].T.ravel(), "left_ends"), row], "left_end")
    per_unit = graph.op("Gather", [graph.floats(1 / np.diff(ends, axis=0).T.ravel(), "per_unit"), row], "scale")
    share = graph.op("Mul", [graph.op("Sub", [inside, left], "from_left"), per_unit], "share")
    return share, row


def _emit_row(graph: GraphBuilder, interval: str, ends: Values) -> str:
    first_rows = graph.integers(np.arange(ends.shape[1]) * (len(ends) - 1), "first_row")
    return graph.op("Add", [interval, first_rows], "row")


def _emit_powers(graph: GraphBuilder, share: str, degree: int) -> str:
    """Write 1, s, s², …: ``[rows, inputs, degree + 1]``."""
    shape = graph.op("Shape", [share], "shape")
    ones = graph.op("ConstantOfShape", [shape], "ones", value=numpy_helper.from_array(np.ones(1, np.float32)))
    powers = [ones, share]
    for _ in range(degree - 1):
        powers.append(graph.op("Mul", [powers[-1], share], "power"))
    axis = graph.integers([2], "power_axis")
    return graph.op("Concat", [graph.op("Unsqueeze", [each, axis], "one_power") for each in powers], "powers", axis=2)


def _table(layer: KANLayer, ends: Values) -> Values:
    """Polynomial coefficients ``[inputs·intervals, (degree + 1)·outputs]``, interpolated from spline values."""
    count, intervals = layer.degree + 1, len(ends) - 1
    share = (np.arange(count) + 0.5) / count
    to_powers = np.linalg.inv(np.vander(share, increasing=True))
    knots = layer.all_knots().detach().double()
    coefficients = edge_coefficients(layer)
    # [intervals, samples, inputs]
    points = ends[:-1, None] + np.diff(ends, axis=0)[:, None] * share[:, None]
    table = np.empty((layer.inputs, intervals, count, layer.outputs))
    for start in range(0, layer.inputs, _INPUTS_AT_ONCE):
        part = slice(start, start + _INPUTS_AT_ONCE)
        flat = torch.from_numpy(points[:, :, part].reshape(intervals * count, -1))
        values = basis(flat, knots[part], layer.degree).numpy().transpose(1, 0, 2)
        samples = values @ coefficients[:, part].transpose(1, 2, 0)
        table[part] = to_powers @ samples.reshape(-1, intervals, count, layer.outputs)
    return table.reshape(layer.inputs * intervals, -1)
