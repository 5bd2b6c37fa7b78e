"""What a network promises: read from its edges, not from its answers."""

import numpy as np
from numpy.typing import NDArray

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN

Directions = NDArray[np.int64]
# An answer that may rise and fall with an input.
UNKNOWN = 2


def promised_directions(kan: KAN) -> Directions:
    """How each answer moves with each input, whatever the parameters are.

    Returns:
        ``[outputs, inputs]``: 1 if it never falls, −1 if it never rises, 0 if no path leads there, 2 if nothing is
        promised. It is 2 if a free edge, a formula or a product stands on a path, or if two paths differ.
    """
    found: Directions = np.eye(kan.width[0], dtype=np.int64)
    for layer in kan.layers:
        found = _through(layer, found)
    return found


def keeps_direction(kan: KAN, input_: int, outputs: Directions) -> bool:
    """Whether each answer moves with an input as asked, or not at all.

    Args:
        kan: The network.
        input_: Index of the input.
        outputs: ``[outputs]``, 1 where the answer must not fall, −1 where it must not rise.
    """
    moves = promised_directions(kan)[:, input_]
    return bool(((moves == 0) | (moves == outputs)).all())


def settled(kan: KAN) -> KAN:
    """The same function with coefficients and base weights as parameters that follow their directions already.

    A fit leaves parameters of any order behind, and a checkpoint of it holds them as they are. The files of a published
    version hold settled ones, whose meaning needs no rule.
    """
    if all(layer.directions is None for layer in kan.layers):
        return kan
    return kan.with_layers([layer.changed() for layer in kan.layers])


def _through(layer: KANLayer, before: Directions) -> Directions:
    """``[nodes, inputs]`` behind a layer, for ``[nodes, inputs]`` before it."""
    signs = layer.signs.cpu().numpy().astype(np.int64)[:, :, None]
    is_read = layer.active_edges.cpu().numpy()[:, :, None] & (before != 0)
    is_unknown = (is_read & ((signs == 0) | (before == UNKNOWN))).any(axis=1)
    rises, falls = ((is_read & (signs * before == way)).any(axis=1) for way in (1, -1))
    sums: Directions = np.where(is_unknown | (rises & falls), UNKNOWN, rises.astype(np.int64) - falls)
    if layer.products is None:
        return sums
    nodes = [sums[list(node)] for node in layer.products.factors]
    return np.stack([each[0] if len(each) == 1 else np.where(each.any(axis=0), UNKNOWN, 0) for each in nodes])
