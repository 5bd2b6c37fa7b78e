"""Pictures of a KAN: the whole network as a diagram, one edge in detail.

The figures are matplotlib's, made without pyplot, so no global state changes. ``figure.savefig`` writes PNG or SVG.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from kan_model.analysis.edge_values import edge_values
from kan_model.network.checks import check_edge, check_rows
from kan_model.network.network import KAN, on_cpu
from kan_model.rows.blocks import answers

Values = NDArray[np.float64]

# More curves side by side are too small to read; 1,000 rows are enough to show a curve's range.
_MOST_CURVES = 24
_MOST_ROWS, _CURVE_POINTS = 1000, 200
# The smallest opacity: the weakest edge is still visible.
_FAINTEST = 0.15
_NAME_LENGTH, _TITLE_LENGTH = 18, 50
_SPLINE_COLOUR, _SYMBOLIC_COLOUR = "#1f4e79", "#b3261e"
# The background of a text, so that a curve does not cross the letters.
_ON_CURVES = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
# In inches. _MARGIN, on the right, holds the counts of edges and nodes that are not drawn; _LEFT and the second line
# are room for names.
_LEVEL_HEIGHT, _CURVE_WIDTH, _LEFT, _MARGIN = 2.4, 0.62, 0.9, 1.7
_NAME_WIDTH, _UPRIGHT, _ASLANT = 1.6, 0.5, 1.3


@dataclass(frozen=True)
class _Edge:
    """An edge that is drawn; ``node`` is the one that its sum makes."""

    output: int
    input: int
    node: int
    strength: float
    x: Values
    y: Values
    function: str | None


def diagram(
    kan: KAN,
    rows: Tensor,
    *,
    names: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    most_curves: int = _MOST_CURVES,
) -> Figure:
    """The network from its inputs at the bottom to its outputs at the top, with the curve of each edge.

    The opacity of an edge is its strength: the standard deviation of its output over the rows, relative to the
    strongest edge of its layer. Symbolic edges are red and carry their function's name. Each layer shows its strongest
    edges and the number of the others. Nodes without a drawn edge are counted, not drawn. A cross multiplies.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``, imputed and scaled; only the first 1,000 are used.
        names: Names of the inputs, any text; None: x1, x2, …
        outputs: Names of the outputs; None: y1, y2, …
        most_curves: How many edges of each layer are drawn, 1 or more.

    Raises:
        ValueError: rows that the network cannot read, the wrong number of names, or ``most_curves`` below 1.
    """
    names = _labels("names", names, kan.width[0], "x")
    outputs = _labels("outputs", outputs, kan.width[-1], "y")
    if most_curves < 1:
        raise ValueError(f"most_curves is {most_curves}; wanted 1 or more")
    layers = _edges(on_cpu(kan), check_rows(kan, rows, at_least=2)[:_MOST_ROWS].detach().cpu().to(kan.dtype))
    drawn = [sorted(edges, key=lambda edge: -edge.strength)[:most_curves] for edges in layers]
    levels = _levels(kan.width, drawn)
    breadth = max(4.0, _CURVE_WIDTH * 1.25 * max(*map(len, drawn), *map(len, levels)))
    height = _LEVEL_HEIGHT * len(drawn)
    places = [{node: breadth * (place + 0.5) / len(level) for place, node in enumerate(level)} for level in levels]
    below, above = (len(level) * _NAME_WIDTH > breadth for level in (levels[0], levels[-1]))
    low, high = -(_ASLANT if below else _UPRIGHT), height + (_ASLANT if above else _UPRIGHT)
    figure = Figure(figsize=(breadth + _LEFT + _MARGIN, high - low))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-_LEFT, breadth + _MARGIN), ylim=(low, high))
    axes.set_axis_off()
    for index, edges in enumerate(drawn):
        y = index * _LEVEL_HEIGHT
        _draw_layer(axes, edges, places[index], places[index + 1], y, breadth)
        _note(axes, breadth, y + 0.55 * _LEVEL_HEIGHT, len(layers[index]) - len(edges), "weaker edges")
    for index, level in enumerate(places):
        y = index * _LEVEL_HEIGHT
        axes.scatter(list(level.values()), [y] * len(level), s=28, color="black", zorder=3)
        products = kan.layers[index - 1].products if index else None
        crosses = [x for node, x in level.items() if products and len(products.factors[node]) > 1]
        axes.plot(crosses, [y] * len(crosses), "kX", ms=11, mfc="white", zorder=4)
        _note(axes, breadth, y, kan.width[index] - len(level), "nodes without\nany of these")
    _name_nodes(axes, places[0], names, -0.15, "top", crowded=below)
    _name_nodes(axes, places[-1], outputs, height + 0.15, "bottom", crowded=above)
    return figure


def edge_detail(
    kan: KAN, rows: Tensor, layer: int, output: int, input_: int, *, name: str = "", title: str = ""
) -> Figure:
    """One edge: its curve over the data and 5 % beyond, its domain and knots, and a histogram of the data.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``, imputed and scaled.
        layer: Index of the layer, from 0.
        output: Index of the node that the edge feeds.
        input_: Index of the node that the edge reads.
        name: Label of the x axis: the name of the node that the edge reads.
        title: Title of the figure; empty: the numbers of the layer and nodes.

    Raises:
        ValueError: rows that the network cannot read; an edge that does not exist or has no finite value; a node that
            the edge reads is not finite on some rows.
    """
    check_edge(kan, layer, output, input_)
    kan, x = on_cpu(kan), check_rows(kan, rows, at_least=2).detach().cpu().to(kan.dtype)
    one = kan.layers[layer]
    with torch.no_grad():
        data = (answers(KAN.of_layers(kan.layers[:layer]), x) if layer else x)[:, input_]
        if not torch.isfinite(data).all():
            raise ValueError(f"node {input_} before layer {layer} is not finite on some rows; wanted others")
        low, high = torch.minimum(data.min(), one.domain[input_, 0]), torch.maximum(data.max(), one.domain[input_, 1])
        margin = 0.05 * (high - low)
        line = torch.linspace(float(low - margin), float(high + margin), 2 * _CURVE_POINTS, dtype=kan.dtype)
        points = torch.zeros(len(line), one.inputs, dtype=kan.dtype)
        points[:, input_] = line
        curve = one.edge_outputs(points)[:, output, input_]
        if not torch.isfinite(curve).any():
            raise ValueError(f"the edge has no finite answer from {line[0]:g} to {line[-1]:g}; wanted one somewhere")
        knots = one.all_knots()[input_, one.degree : -one.degree]
    figure = Figure(figsize=(6.4, 4.2))
    margins = {"left": 0.13, "right": 0.97, "top": 0.92, "bottom": 0.13, "hspace": 0.12}
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1), gridspec_kw=margins)
    function = dict(zip(one.symbolic_places, one.symbolic_functions, strict=True)).get((output, input_))
    colour = _SYMBOLIC_COLOUR if function else _SPLINE_COLOUR
    upper.plot(line.numpy(), curve.numpy(), color=colour, linewidth=1.8)
    upper.axvspan(*map(float, one.domain[input_]), color="0.94", zorder=0)
    title = _short(title, _TITLE_LENGTH) or f"layer {layer}: input {input_} to output {output}"
    upper.set_title(title + (f", {function}" if function else ""), parse_math=False)
    upper.set_ylabel("what the edge adds")
    if not function:
        upper.plot(knots.numpy(), np.zeros(len(knots)), "|", color="0.4", transform=upper.get_xaxis_transform(), ms=10)
    # In float64: float32 has too few numbers to divide a narrow range into 60 bins.
    lower.stairs(*np.histogram(data.double().numpy(), bins=60), fill=True, color="0.6")
    lower.set_ylabel("rows")
    lower.set_xlabel(_short(name, _TITLE_LENGTH) or f"input {input_}", parse_math=False)
    return figure


def _labels(what: str, given: Sequence[str] | None, count: int, letter: str) -> Sequence[str]:
    if given is None:
        return [f"{letter}{number}" for number in range(1, count + 1)]
    if len(given) != count:
        raise ValueError(f"{what} holds {len(given)} names; wanted {count}")
    return given


def _short(name: str, length: int = _NAME_LENGTH) -> str:
    """The name on one line, cut in the middle if it is too long: the names of a table often begin alike."""
    name = " ".join(name.split())
    end = (length - 1) // 2
    return name if len(name) <= length else name[: length - 1 - end] + "…" + name[-end:]


def _edges(kan: KAN, rows: Tensor) -> list[list[_Edge]]:
    """Every active edge, with its curve over the range that its input has in the rows."""
    found: list[list[_Edge]] = []
    x = rows
    with torch.no_grad():
        for layer, values in zip(kan.layers, edge_values(kan, rows), strict=True):
            spread = values.std(dim=0).double().numpy()
            strength = spread / (spread.max() or 1.0)
            low, high = x.min(dim=0).values, x.max(dim=0).values
            share = torch.linspace(0, 1, _CURVE_POINTS, dtype=kan.dtype).unsqueeze(1)
            line = low + (high - low) * share
            curves, at = layer.edge_outputs(line).double().numpy(), line.double().numpy()
            functions = dict(zip(layer.symbolic_places, layer.symbolic_functions, strict=True))
            found.append([])
            for to, of in layer.active_edges.nonzero().tolist():
                node = to if layer.products is None else int(layer.products.node_of[to])
                function = functions.get((to, of))
                found[-1].append(_Edge(to, of, node, strength[to, of], at[:, of], curves[:, to, of], function))
            x = layer(x)
    return found


def _levels(width: Sequence[int], drawn: Sequence[Sequence[_Edge]]) -> list[list[int]]:
    """The nodes that are drawn: all of a level with at most 12 nodes, else those that a drawn edge joins."""
    levels = []
    for index, count in enumerate(width):
        above = {edge.input for edge in drawn[index]} if index < len(drawn) else set()
        below = {edge.node for edge in drawn[index - 1]} if index else set()
        levels.append(list(range(count)) if count <= _MOST_CURVES // 2 else sorted(above | below))
    return levels


def _draw_layer(
    axes: Axes, edges: Sequence[_Edge], inputs: dict[int, float], outputs: dict[int, float], y: float, breadth: float
) -> None:
    """Draw a layer's curves in a row of small frames, each frame between the two nodes that its edge joins."""
    ordered = sorted(edges, key=lambda edge: (inputs[edge.input] + outputs[edge.node], inputs[edge.input]))
    middle, half = y + 0.55 * _LEVEL_HEIGHT, _CURVE_WIDTH / 2
    for place, edge in enumerate(ordered):
        x = breadth * (place + 0.5) / len(ordered)
        colour = _SYMBOLIC_COLOUR if edge.function else _SPLINE_COLOUR
        opacity = max(_FAINTEST, edge.strength)
        axes.plot([inputs[edge.input], x], [y, middle - half], color=colour, alpha=opacity, linewidth=1.2, zorder=1)
        axes.plot([x, outputs[edge.node]], [middle + half, y + _LEVEL_HEIGHT], color=colour, alpha=opacity, linewidth=1.2, zorder=1)  # fmt: skip # noqa: E501
        # A rectangle, not Axes: an Axes takes a hundred times as long to draw.
        axes.add_patch(Rectangle((x - half, middle - half), 2 * half, 2 * half, facecolor="white", edgecolor=colour,
                                 alpha=opacity, linewidth=0.8, zorder=2))  # fmt: skip
        axes.plot(x + 0.9 * half * _rescale(edge.x), middle + 0.9 * half * _rescale(edge.y), color=colour,
                  alpha=opacity, linewidth=1.5, zorder=3, gid=f"edge {edge.input} {edge.output}")  # fmt: skip
        if edge.function:
            axes.text(x - 0.95 * half, middle + 0.95 * half, edge.function, ha="left", va="top", fontsize=7,
                      color=colour, zorder=4, parse_math=False, bbox=_ON_CURVES)  # fmt: skip


def _rescale(values: Values) -> Values:
    """The values shifted and scaled to run from -1 to 1; a constant becomes 0."""
    low, high = float(values.min()), float(values.max())
    result: Values = (2 * values - low - high) / ((high - low) or 1.0)
    return result


def _note(axes: Axes, x: float, y: float, count: int, what: str) -> None:
    """Write how many edges or nodes are not drawn."""
    if count:
        axes.text(x + 0.15, y, f"+ {count:,} {what}", va="center", fontsize=8, color="0.35", style="italic")


def _name_nodes(
    axes: Axes, places: dict[int, float], names: Sequence[str], y: float, side: str, *, crowded: bool
) -> None:
    """Write names under or over their nodes; crowded names are rotated so that they do not touch."""
    towards = "right" if side == "top" else "left"
    for node, x in places.items():
        axes.text(x, y, _short(names[node]), ha=towards if crowded else "center", va=side, fontsize=9,
                  rotation=35 if crowded else 0, rotation_mode="anchor", parse_math=False)  # fmt: skip
