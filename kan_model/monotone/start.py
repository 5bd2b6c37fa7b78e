"""A new network made monotone in some of its inputs."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.splines.rising import directed_coefficients, directed_weights


def with_monotone_inputs(kan: KAN, inputs: Sequence[int], outputs: Sequence[int]) -> KAN:
    """The network with directions on all edges that a monotone input reaches.

    In each hidden level the first half of the nodes, rounded up, is monotone. Without a free input all nodes are, since
    nothing would feed the others. The random numbers of the network stay as sizes: an edge with a direction takes the
    steps of its coefficients without their signs, and curves around 0.

    Example: [3, 8, 1] with the first input monotone: 4 nodes are fed by all inputs, 4 by the free ones alone.

    Args:
        kan: A new network under ``clamp``, without symbolic edges and without nodes that multiply; it is not changed.
        inputs: For each input 1 if answers shall rise with it, −1 if they shall fall, 0 if it is free.
        outputs: For each output 1, or −1 where that output shall move the other way. Of two classes it is (−1, 1): the
            probability of the second rises.

    Raises:
        ValueError: the wrong number of directions, or one that is none; a network that cannot keep them.
    """
    _check(inputs, kan.width[0], (-1, 0, 1), "inputs")
    _check(outputs, kan.width[-1], (-1, 1), "outputs")
    layers: list[KANLayer] = []
    signs = torch.tensor(inputs, dtype=torch.int8)
    for index, layer in enumerate(kan.layers):
        if index == len(kan.layers) - 1:
            after = torch.tensor(outputs, dtype=torch.int8)
        else:
            count = _monotone_nodes(layer.outputs, signs)
            after = (torch.arange(layer.outputs) < count).to(torch.int8)
        layers.append(_directed(layer, signs, after, is_hidden=index > 0))
        signs = after
    return kan.with_layers(layers)


def _monotone_nodes(nodes: int, signs: Tensor) -> int:
    """How many nodes of a level are monotone, for the signs of the nodes before it."""
    if (signs == 0).all():
        return 0
    return -(-nodes // 2) if (signs == 0).any() else nodes


def _check(directions: Sequence[int], count: int, known: tuple[int, ...], which: str) -> None:
    if len(directions) != count or any(each not in known for each in directions):
        raise ValueError(f"directions of the {which} are {tuple(directions)}; wanted {count} of {known}")


def _directed(layer: KANLayer, before: Tensor, after: Tensor, *, is_hidden: bool) -> KANLayer:
    """The layer between nodes of these signs; 0 is a free node, which no monotone node may feed."""
    if layer.products is not None:
        raise ValueError(
            "a level with nodes that multiply; wanted nodes that add: a product of rising factors may fall"
        )
    directions = after[:, None] * before
    if not directions.any():
        return layer.changed()
    # Inputs are independent, but monotone nodes rise together: their sum grows with their number, not with its root.
    size = 1 / math.sqrt(int((before != 0).sum())) if is_hidden else 1.0
    coefficients = directed_coefficients(layer.coefficients.detach(), directions)
    weights = directed_weights(layer.base_weight.detach(), directions)
    is_free = directions == 0
    centred = (coefficients - coefficients.mean(dim=-1, keepdim=True)) * size
    return layer.changed(
        base_weight=torch.where(is_free, weights, weights * size),
        coefficients=torch.where(is_free.unsqueeze(-1), coefficients, centred),
        edge_mask=torch.where((before != 0) & (after == 0)[:, None], 0, layer.edge_mask),
        directions=directions,
    )
