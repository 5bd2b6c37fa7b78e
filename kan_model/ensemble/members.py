"""The members of a network that is the mean of several."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kan_model.network.connections import Indices, select_nodes
from kan_model.network.layer import KANLayer
from kan_model.network.members import Members
from kan_model.network.network import KAN

Values = NDArray[np.float64]


def members_of(kan: KAN) -> list[KAN]:
    """The members of a network that :func:`kan_model.ensemble.mean.mean_network` made, in their order.

    The mean of their answers is the network's answer, also after the network was trained further, refined, pruned or
    given formulas. Until then they are the networks that it was made from: the same numbers, those of the last layer up
    to rounding. Members of one layer come back with the second layer of identity edges. A member that has lost all
    nodes of a level to pruning is a constant.

    Args:
        kan: The network; it is not changed.

    Returns:
        Networks that share no memory with it.

    Raises:
        ValueError: the network is not the mean of several.
    """
    if kan.members is None:
        raise ValueError("the network has no members; wanted one that mean_network made")
    return [_member(kan, kan.members, index) for index in range(kan.members.count)]


def _member(kan: KAN, members: Members, index: int) -> KAN:
    hidden = [members.block(level, index) for level in range(len(members.nodes))]
    nodes = [np.arange(kan.width[0]), *hidden, np.arange(kan.width[-1])]
    layers = [_part(layer, nodes[level], nodes[level + 1]) for level, layer in enumerate(kan.layers)]
    return KAN.of_layers([*layers[:-1], _whole(layers[-1], members.count, members.shifts[index])])


def _part(layer: KANLayer, inputs: Indices, outputs: Indices) -> KANLayer:
    """The layer between these nodes. Where there are none, one node without edges stands for them."""
    some = [nodes if len(nodes) else np.array([0]) for nodes in (inputs, outputs)]
    part = select_nodes(layer, *some).changed()
    if len(inputs) and len(outputs):
        return part
    return part.changed(edge_mask=torch.zeros_like(part.edge_mask), symbolic=())


def _whole(last: KANLayer, count: int, shift: Sequence[float]) -> KANLayer:
    """A member's own last layer: its share of the network's, times the number of members, plus its shift."""
    bias = last.base_weight.new_tensor(shift) if any(shift) else None
    if last.bias is not None:
        bias = last.bias.detach() if bias is None else last.bias.detach() + bias
    return last.changed(
        base_weight=last.base_weight.detach() * count,
        coefficients=last.coefficients.detach() * count,
        symbolic=[dataclasses.replace(edge, c=edge.c * count, d=edge.d * count) for edge in last.symbolic],
        bias=bias,
    )
