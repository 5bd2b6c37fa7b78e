"""How much memory a run of attribution.onnx takes."""

from math import ceil

import numpy as np

from kan_model.lowering.attribution.functions import INTERVALS_FLOAT32, INTERVALS_FLOAT64
from kan_model.lowering.attribution.multipliers import is_folded
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN

# Matrices of a layer's functions that are alive at once on the way forward, of a row and its own reference row: two
# stacked ones while functions are computed, or a stacked one, its parts and their difference.
_FORWARD_COPIES = 6
# On the way back: products, what they are made of, and what is transposed.
_BACKWARD_COPIES = 3


def bytes_per_row(kan: KAN, *, in_float64: bool = False) -> int:
    """Bytes of the intermediate values of one row with a reference row of its own; an estimate from above.

    Args:
        kan: The network.
        in_float64: As for :func:`kan_model.lowering.attribution.model.attribution_model`.
    """
    answers, kept, largest = kan.width[-1], 0, 0
    for index, layer in enumerate(kan.layers):
        is_last = index == len(kan.layers) - 1
        functions = _functions(layer, in_float64) * layer.inputs
        wide = 8 if in_float64 or index > 0 else 4
        narrow = 8 if in_float64 else 4
        folds = is_folded((functions // layer.inputs, layer.inputs, layer.sums), answers, is_last=is_last)
        products = answers * functions if folds else layer.sums * layer.inputs
        kept += narrow * functions
        largest = max(
            largest,
            wide * _FORWARD_COPIES * functions,
            narrow * _BACKWARD_COPIES * (products + answers * layer.inputs),
        )
    return kept + largest


def _functions(layer: KANLayer, in_float64: bool) -> int:
    """Functions of an input: those that span its splines, silu, x where edges have a direction, symbolic edges."""
    segments = ceil(layer.grid_size / (INTERVALS_FLOAT64 if in_float64 else INTERVALS_FLOAT32))
    splines = layer.grid_size + layer.degree + segments * (layer.degree - 1)
    tails = 2 * layer.degree if layer.outside == "decay" else 0
    inputs = [place[1] for place in layer.symbolic_places]
    bases = 1 if layer.directions is None else 2
    return splines + tails + bases + (int(np.bincount(inputs).max()) if inputs else 0)
