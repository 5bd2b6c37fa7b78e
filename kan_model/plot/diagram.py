"""The whole network as a diagram."""

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
from kan_model.network.checks import check_rows
from kan_model.network.network import KAN, on_cpu
from kan_model.plot.levels import Level, drawn_nodes, place_level, slots
from kan_model.plot.names import SPLINE_COLOUR, SYMBOLIC_COLOUR, labels, short

Values = NDArray[np.float64]

# More curves side by side are too small to read; 1,000 rows are enough to show a curve's range.
_MOST_CURVES = 24
_MOST_ROWS, _CURVE_POINTS = 1000, 200
# The smallest opacity: the weakest edge is still visible.
_FAINTEST = 0.15
# The background of a text, so that a curve does not cross the letters.
_ON_CURVES = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
# In inches. _MARGIN, on the right, holds the counts of edges and nodes that are not drawn; _LEFT and the second line
# are room for names.
_LEVEL_HEIGHT, _CURVE_WIDTH, _LEFT, _MARGIN = 2.4, 0.62, 0.9, 1.7
# The height of the curves, as a share of the way from the nodes that they read to the sums above.
_MIDDLE = 0.55
_NAME_WIDTH, _UPRIGHT, _ASLANT = 1.6, 0.5, 1.3


@dataclass(frozen=True)
class _Edge:
    """An edge that is drawn; ``output`` is the sum that it feeds."""

    output: int
    input: int
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
    edges and the number of the others. Nodes without a drawn edge are counted, not drawn. A node that multiplies is a
    cross in a circle above its factors: each is a point, the sum of the edges that end in it.

    Args:
        kan: The network.
        rows: ``[2 or more rows, inputs]``, imputed and scaled; only the first 1,000 are used.
        names: Names of the inputs, any text; None: x1, x2, …
        outputs: Names of the outputs; None: y1, y2, …
        most_curves: How many edges of each layer are drawn, 1 or more.

    Raises:
        ValueError: rows that the network cannot read, the wrong number of names, or ``most_curves`` below 1.
    """
    names = labels("names", names, kan.width[0], "x")
    outputs = labels("outputs", outputs, kan.width[-1], "y")
    if most_curves < 1:
        raise ValueError(f"most_curves is {most_curves}; wanted 1 or more")
    layers = _edges(on_cpu(kan), check_rows(kan, rows, at_least=2)[:_MOST_ROWS].detach().cpu().to(kan.dtype))
    drawn = [sorted(edges, key=lambda edge: -edge.strength)[:most_curves] for edges in layers]
    nodes = list(
        drawn_nodes(
            kan,
            [{edge.input for edge in edges} for edges in drawn],
            [{edge.output for edge in edges} for edges in drawn],
            _MOST_CURVES // 2,
        )
    )
    broadest = max(sum(map(len, slots(layer, some))) for layer, some in nodes)
    breadth = max(4.0, _CURVE_WIDTH * 1.25 * max(*map(len, drawn), broadest))
    height = _LEVEL_HEIGHT * len(drawn)
    levels = [place_level(*each, breadth, index * _LEVEL_HEIGHT) for index, each in enumerate(nodes)]
    below, above = (len(level.nodes) * _NAME_WIDTH > breadth for level in (levels[0], levels[-1]))
    low, high = -(_ASLANT if below else _UPRIGHT), height + (_ASLANT if above else _UPRIGHT)
    figure = Figure(figsize=(breadth + _LEFT + _MARGIN, high - low))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-_LEFT, breadth + _MARGIN), ylim=(low, high))
    axes.set_axis_off()
    for index, edges in enumerate(drawn):
        _draw_layer(axes, edges, levels[index], levels[index + 1], breadth)
        _note(axes, breadth, _middle(levels[index], levels[index + 1]), len(layers[index]) - len(edges), "weaker edges")
    for count, level in zip(kan.width, levels, strict=True):
        _draw_nodes(axes, level)
        _note(axes, breadth, level.y, count - len(level.nodes), "nodes without\nany of these")
    _name_nodes(axes, levels[0].nodes, names, -0.15, "top", crowded=below)
    _name_nodes(axes, levels[-1].nodes, outputs, height + 0.15, "bottom", crowded=above)
    return figure


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
                function = functions.get((to, of))
                found[-1].append(_Edge(to, of, strength[to, of], at[:, of], curves[:, to, of], function))
            x = layer(x)
    return found


def _draw_layer(axes: Axes, edges: Sequence[_Edge], lower: Level, upper: Level, breadth: float) -> None:
    """Draw a layer's curves in a row of small frames, each between the node that its edge reads and its sum."""
    inputs, sums = lower.nodes, upper.sums
    ordered = sorted(edges, key=lambda edge: (inputs[edge.input] + sums[edge.output][0], inputs[edge.input]))
    middle, half = _middle(lower, upper), _CURVE_WIDTH / 2
    for place, edge in enumerate(ordered):
        x = breadth * (place + 0.5) / len(ordered)
        colour = SYMBOLIC_COLOUR if edge.function else SPLINE_COLOUR
        opacity = max(_FAINTEST, edge.strength)
        of, to = (inputs[edge.input], lower.y), sums[edge.output]
        for (x0, y0), (x1, y1) in ((of, (x, middle - half)), ((x, middle + half), to)):
            axes.plot([x0, x1], [y0, y1], color=colour, alpha=opacity, linewidth=1.2, zorder=1)
        # A rectangle, not Axes: an Axes takes a hundred times as long to draw.
        axes.add_patch(Rectangle((x - half, middle - half), 2 * half, 2 * half, facecolor="white", edgecolor=colour,
                                 alpha=opacity, linewidth=0.8, zorder=2))  # fmt: skip
        axes.plot(x + 0.9 * half * _rescale(edge.x), middle + 0.9 * half * _rescale(edge.y), color=colour,
                  alpha=opacity, linewidth=1.5, zorder=3, gid=f"edge {edge.input} {edge.output}")  # fmt: skip
        if edge.function:
            axes.text(x - 0.95 * half, middle + 0.95 * half, edge.function, ha="left", va="top", fontsize=7,
                      color=colour, zorder=4, parse_math=False, bbox=_ON_CURVES)  # fmt: skip


def _middle(lower: Level, upper: Level) -> float:
    """The height of the curves between two levels."""
    return lower.y + _MIDDLE * (min((y for _, y in upper.sums.values()), default=upper.y) - lower.y)


def _draw_nodes(axes: Axes, level: Level) -> None:
    """Draw a point for each sum and each node that adds, a cross in a circle for each that multiplies."""
    adding = [x for node, x in level.nodes.items() if node not in level.factors]
    axes.scatter(adding, [level.y] * len(adding), s=28, color="black", zorder=3)
    for node, sums in level.factors.items():
        x = level.nodes[node]
        for sum_ in sums:
            at, below = level.sums[sum_]
            axes.plot([at, x], [below, level.y], color="black", linewidth=1.2, zorder=2, gid=f"factor {sum_} {node}")
            axes.plot(at, below, "ko", ms=4, zorder=3)
        axes.plot(x, level.y, "ko", ms=13, mfc="white", zorder=4)
        axes.plot(x, level.y, "kx", ms=7, mew=1.6, zorder=5, gid=f"product {node}")


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
        axes.text(x, y, short(names[node]), ha=towards if crowded else "center", va=side, fontsize=9,
                  rotation=35 if crowded else 0, rotation_mode="anchor", parse_math=False)  # fmt: skip
