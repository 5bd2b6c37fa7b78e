"""One network that answers with every member's answers, so that one step changes all members at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kan_model import KAN, KANLayer
from kan_model.network.connections import select_nodes
from kan_model.network.products import joined_products


def side_by_side(members: Sequence[KAN]) -> KAN:
    """One network with the members' answers side by side, ``[rows, members · outputs]``, the first member's first.

    The first layer reads the inputs once for all members. Edges between members are masked, so they stay 0 in a fit.

    Args:
        members: Networks of the same shape whose first layers have the same knots, without symbolic edges; they are not
            changed.
    """
    first, *others = zip(*(member.layers for member in members), strict=True)
    return KAN.of_layers([_join(first, reads_same=True), *(_join(layers, reads_same=False) for layers in others)])


def separate(network: KAN, count: int) -> list[KAN]:
    """The members of a network that :func:`side_by_side` made.

    Args:
        network: The network; it is not changed, and no memory is shared with it.
        count: Number of members.
    """
    return [KAN.of_layers([*_member_layers(network, index, count)]) for index in range(count)]


def _join(layers: Sequence[KANLayer], *, reads_same: bool) -> KANLayer:
    first = layers[0]
    grids = layers[:1] if reads_same else layers
    is_uniform = all(layer.knots is None for layer in grids)
    biases = [layer.base_weight.new_zeros(layer.sums) if layer.bias is None else layer.bias for layer in layers]
    return first.changed(
        base_weight=_stack([layer.base_weight for layer in layers], reads_same),
        coefficients=_stack([layer.coefficients for layer in layers], reads_same),
        edge_mask=_stack([layer.edge_mask for layer in layers], reads_same),
        domain=torch.cat([layer.domain for layer in grids]) if is_uniform else None,
        knots=None if is_uniform else torch.cat([layer.all_knots() for layer in grids]),
        bias=torch.cat([bias.detach() for bias in biases]),
        products=joined_products([(layer.products, layer.sums) for layer in layers]),
        directions=None if first.directions is None else _stack([layer.signs for layer in layers], reads_same),
    )


def _stack(parts: Sequence[Tensor], reads_same: bool) -> Tensor:
    """Parts ``[sums, inputs, …]`` one above the other; if each reads its own inputs, they are blocks among zeros."""
    if reads_same:
        return torch.cat([part.detach() for part in parts])
    rows, columns = parts[0].shape[:2]
    stacked = parts[0].new_zeros(rows * len(parts), columns * len(parts), *parts[0].shape[2:])
    for index, part in enumerate(parts):
        stacked[index * rows : (index + 1) * rows, index * columns : (index + 1) * columns] = part.detach()
    return stacked


def _member_layers(network: KAN, index: int, count: int) -> list[KANLayer]:
    inputs = np.arange(network.width[0])
    layers = []
    for layer in network.layers:
        nodes = layer.outputs // count
        outputs = np.arange(index * nodes, (index + 1) * nodes)
        layers.append(select_nodes(layer, inputs, outputs).changed())
        inputs = outputs
    return layers
