"""One edge in detail."""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from kan_model.network.checks import check_edge, check_rows
from kan_model.network.network import KAN, on_cpu
from kan_model.plot.names import SPLINE_COLOUR, SYMBOLIC_COLOUR, short
from kan_model.rows.blocks import answers

_POINTS = 400
_TITLE_LENGTH = 50


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
        line = torch.linspace(float(low - margin), float(high + margin), _POINTS, dtype=kan.dtype)
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
    colour = SYMBOLIC_COLOUR if function else SPLINE_COLOUR
    upper.plot(line.numpy(), curve.numpy(), color=colour, linewidth=1.8)
    upper.axvspan(*map(float, one.domain[input_]), color="0.94", zorder=0)
    title = short(title, _TITLE_LENGTH) or f"layer {layer}: input {input_} to output {output}"
    upper.set_title(title + (f", {function}" if function else ""), parse_math=False)
    upper.set_ylabel("what the edge adds")
    if not function:
        upper.plot(knots.numpy(), np.zeros(len(knots)), "|", color="0.4", transform=upper.get_xaxis_transform(), ms=10)
    # In float64: float32 has too few numbers to divide a narrow range into 60 bins.
    lower.stairs(*np.histogram(data.double().numpy(), bins=60), fill=True, color="0.6")
    lower.set_ylabel("rows")
    lower.set_xlabel(short(name, _TITLE_LENGTH) or f"input {input_}", parse_math=False)
    return figure
