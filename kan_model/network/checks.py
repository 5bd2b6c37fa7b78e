"""Refuse rows that a network cannot read, and layers and edges that it lacks."""

import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN


def check_rows(kan: KAN, rows: Tensor, *, at_least: int = 1) -> Tensor:
    """Return the rows unchanged, if the network can read them.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``.
        at_least: The smallest number of rows.

    Raises:
        ValueError: another shape, too few rows, or numbers that are not finite in the network's float type.
    """
    inputs = kan.width[0]
    if rows.ndim != 2 or rows.shape[1] != inputs or len(rows) < at_least:
        raise ValueError(f"rows have shape {tuple(rows.shape)}; wanted [{at_least} or more rows, {inputs} inputs]")
    bad = ~torch.isfinite(rows.to(kan.dtype))
    if bad.any():
        row, input_ = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{int(bad.any(dim=1).sum())} of {len(rows)} rows hold NaN or an infinity, row {row} first: input {input_} "
            f"is {rows[row, input_].item()}; wanted finite numbers that {kan.dtype} can hold"
        )
    return rows


def check_layer(kan: KAN, layer: int) -> KANLayer:
    """The layer with this index.

    Raises:
        ValueError: there is no such layer.
    """
    if not 0 <= layer < len(kan.layers):
        raise ValueError(f"layer is {layer}; wanted 0 to {len(kan.layers) - 1}")
    return kan.layers[layer]


def check_edge(kan: KAN, layer: int, output: int, input_: int) -> KANLayer:
    """The layer with this index, if it has this edge.

    Raises:
        ValueError: there is no such layer, or it has no such edge.
    """
    found = check_layer(kan, layer)
    if not (0 <= output < found.sums and 0 <= input_ < found.inputs and found.active_edges[output, input_]):
        raise ValueError(f"layer {layer} has no edge from input {input_} to output {output}")
    return found
