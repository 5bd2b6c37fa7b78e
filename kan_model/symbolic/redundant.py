"""Redundant constants of a network's edges at plain values, for the same answers.

A fit moves all constants of an edge c·f(a·x + b) + d, also those whose work others do. They then stand in the formula
without a meaning, and no test of a constant finds them: in 0.98·(1.02·x + 0.0001) for x the constants 1.02 and 0.0001
are as free as the slope and the shift outside. Here they become 1 and 0, and c and d take over: 0.9996·x + 0.000098.
"""

import torch
from torch import Tensor

from kan_model.network.functions import FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.symbolic.invariance import invariance_of

# The curve of an edge may change by this share of its range: rounding of float64.
_SAME = 1e-9
# A shift of this share of the values is rounding.
_ROUNDING = 1e-13


def remove_redundant(kan: KAN, rows: Tensor) -> KAN:
    """The network with redundant constants a and b of its symbolic edges at plain values, mostly 1 and 0.

    Args:
        kan: The network; it is not changed.
        rows: ``[rows, inputs]``, imputed and scaled. An edge keeps its constants if it has no finite answer to some
            row, or the same answer to all.
    """
    layers, x = [], rows.detach().double()
    with torch.no_grad():
        for layer in kan.layers:
            layers.append(_plain(layer, x))
            x = layer(x.to(layer.base_weight)).double()
    return kan.with_layers(layers)


def remove_idle(kan: KAN) -> KAN:
    """The network without symbolic edges of c = 0; their shifts d are in the biases.

    Args:
        kan: The network; it is not changed.
    """
    return kan.with_layers([_without_idle(layer) for layer in kan.layers])


def _without_idle(layer: KANLayer) -> KANLayer:
    idle = [edge for edge in layer.symbolic if edge.c == 0]
    if not idle:
        return layer
    bias = layer.base_weight.new_zeros(layer.sums) if layer.bias is None else layer.bias.detach().clone()
    for edge in idle:
        bias[edge.output] += edge.d
    return layer.changed(symbolic=[edge for edge in layer.symbolic if edge.c != 0], bias=bias)


def _plain(layer: KANLayer, x: Tensor) -> KANLayer:
    if not layer.symbolic:
        return layer
    return layer.changed(symbolic=[_plain_edge(edge, x[:, edge.input]) for edge in layer.symbolic])


def _plain_edge(edge: SymbolicEdge, x: Tensor) -> SymbolicEdge:
    """With f(a·x + b) = m·f(a'·x + b') + o for the plainest a' and b'."""
    if edge.a == 0 or not torch.isfinite(x).all() or x.min() == x.max():
        return edge
    a, b = invariance_of(edge.function).canonical(edge.a, edge.b, float(x.min()), float(x.max()))
    if (a, b) == (edge.a, edge.b):
        return edge
    function = FUNCTIONS[edge.function].torch
    before, after = function(edge.a * x + edge.b), function(a * x + b)
    centred = after - after.mean()
    factor = (centred @ (before - before.mean())) / (centred @ centred)
    shift = (before - factor * after).mean()
    shift = torch.where(shift.abs() <= _ROUNDING * before.abs().max(), 0.0, shift)
    distance = (factor * after + shift - before).abs().max()
    if not distance <= _SAME * (before.max() - before.min()):
        return edge
    return SymbolicEdge(
        edge.output,
        edge.input,
        edge.function,
        a,
        b,
        edge.c * float(factor),
        edge.c * float(shift) + edge.d,
    )
