"""A network whose answers are those of another one, times a factor."""

import dataclasses
import math

import torch

from kan_model.ensemble.one_layer import with_identity
from kan_model.network.network import KAN


def scaled_network(kan: KAN, factor: float) -> KAN:
    """The network that answers factor · f(x), before any transform of the outputs.

    The factor goes into the edges, the formulas and the bias of the last layer, so that it costs nothing to serve. An
    example is temperature scaling (Guo et al. 2017): softmax(f(x) / T) is the softmax of the network scaled by 1 / T.

    Args:
        kan: The network f; it is not changed, and no memory is shared with it.
        factor: Finite and above 0, so that edges which only rise, or only fall, keep to it.

    Returns:
        A network of the same width with the same members. Where outputs multiply, it has one more layer, of identity
        edges, and no members.

    Raises:
        ValueError: the factor is not finite and above 0.
    """
    if not 0 < factor < math.inf:
        raise ValueError(f"factor {factor:g}; wanted a finite number above 0")
    if kan.layers[-1].products is not None:
        kan = with_identity(kan)
    with torch.no_grad():
        *others, last = (layer.changed() for layer in kan.layers)
        scaled = last.changed(
            base_weight=last.base_weight.detach() * factor,
            coefficients=last.coefficients.detach() * factor,
            symbolic=[dataclasses.replace(edge, c=edge.c * factor, d=edge.d * factor) for edge in last.symbolic],
            bias=None if last.bias is None else last.bias.detach() * factor,
        )
    members = kan.members
    if members is not None:
        shifts = tuple(tuple(shift * factor for shift in each) for each in members.shifts)
        members = dataclasses.replace(members, shifts=shifts)
    return KAN.of_layers([*others, scaled], members)
