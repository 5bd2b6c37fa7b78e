"""Networks whose answers are sums of curves, one an input, and of terms of two columns: read as such a sum.

An additive model is written so: the first layer has sums of curves, and products of two such sums for the terms of two
columns; a second layer, if there is one, adds them with a weight each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN


@dataclass(frozen=True)
class PairNodes:
    """Nodes that multiply a sum over some inputs and a sum over others.

    Attributes:
        first: The inputs of the one sum.
        second: The inputs of the other.
        nodes: The nodes of the first layer.
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class CurveSum:
    """A network whose outputs are sums of curves and of products of two sums of curves.

    Attributes:
        layer: The first layer.
        weights: ``[outputs, nodes]``, how much of each node an output has; float64.
        constants: ``[outputs]``, what outputs have without any node; float64.
        pairs: The nodes that multiply, those of the same inputs together.
    """

    layer: KANLayer
    weights: Tensor
    constants: Tensor
    pairs: tuple[PairNodes, ...]

    def edges(self, x: Tensor) -> Tensor:
        """What the curves add to each output, ``[rows, outputs, inputs]`` for inputs ``[rows, inputs]``; float64."""
        nodes, sums = self._adding()
        return torch.einsum("on,rni->roi", self.weights[:, nodes], _some_of(self.layer, sums).edge_outputs(x).double())

    def constant(self) -> Tensor:
        """What each output is without curves and pairs, ``[outputs]``; float64."""
        nodes, sums = self._adding()
        if (bias := self.layer.bias) is None:
            return self.constants
        return self.constants + self.weights[:, nodes] @ bias[sums].detach().double()

    def products(self, pair: PairNodes, x: Tensor) -> Tensor:
        """What a pair adds to each output, ``[rows, outputs]`` for inputs ``[rows, inputs]``; float64."""
        assert self.layer.products is not None
        factors = [self.layer.products.factors[node] for node in pair.nodes]
        ones, twos = (_some_of(self.layer, places).sums_of(x).double() for places in zip(*factors, strict=True))
        return (ones * twos) @ self.weights[:, list(pair.nodes)].T

    def _adding(self) -> tuple[list[int], list[int]]:
        """The nodes that are sums of curves, and these sums."""
        products = self.layer.products
        factors = [(place,) for place in range(self.layer.sums)] if products is None else products.factors
        nodes = [place for place, node in enumerate(factors) if len(node) == 1]
        return nodes, [factors[node][0] for node in nodes]


def _some_of(layer: KANLayer, sums: Sequence[int]) -> KANLayer:
    """The layer with these of its sums only, as nodes that add."""
    if layer.products is None:
        return layer
    places = list(sums)
    return layer.changed(
        base_weight=layer.base_weight[places].detach(),
        coefficients=layer.coefficients[places].detach(),
        edge_mask=layer.edge_mask[places],
        bias=None if layer.bias is None else layer.bias[places].detach(),
        products=None,
        directions=None if layer.directions is None else layer.directions[places],
    )


def read_pairs(kan: KAN) -> tuple[PairNodes, ...]:
    """The nodes that multiply in such a sum, whose edges may be functions too; () of another network."""
    first, *more = kan.layers
    if len(more) != 1 or _straight(more[0]) is None:
        return ()
    return _pairs(first) or ()


def read_curve_sum(kan: KAN) -> CurveSum | None:
    """The network as such a sum of splines; None if it is none."""
    first, *more = kan.layers
    if first.symbolic_places or len(more) > 1 or (not more and first.products is not None):
        return None
    nothing = torch.zeros(first.outputs, dtype=torch.float64)
    straight = _straight(more[0]) if more else (torch.eye(first.outputs, dtype=torch.float64), nothing)
    pairs = _pairs(first)
    return None if straight is None or pairs is None else CurveSum(first, *straight, pairs)


def _straight(layer: KANLayer) -> tuple[Tensor, Tensor] | None:
    """Weights ``[outputs, inputs]`` and constants of a layer whose edges are all c·(a·x + b) + d; None for another."""
    edges = layer.symbolic
    if layer.products is not None or bool(layer.edge_mask.any()) or any(edge.function != "x" for edge in edges):
        return None
    weights = torch.zeros(layer.outputs, layer.inputs, dtype=torch.float64)
    constants = torch.zeros(layer.outputs, dtype=torch.float64)
    for edge in edges:
        weights[edge.output, edge.input] = edge.c * edge.a
        constants[edge.output] += edge.c * edge.b + edge.d
    return weights, constants if layer.bias is None else constants + layer.bias.detach().double()


def _pairs(layer: KANLayer) -> tuple[PairNodes, ...] | None:
    """The nodes that multiply; None if one of them has more than two factors."""
    if layer.products is None:
        return ()
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    active = layer.edge_mask.cpu().numpy() != 0
    for place in layer.symbolic_places:
        active[place] = True
    for node, factors in enumerate(layer.products.factors):
        if len(factors) == 1:
            continue
        if len(factors) > 2:
            return None
        first, second = (tuple(np.flatnonzero(active[factor]).tolist()) for factor in factors)
        found.setdefault((first, second), []).append(node)
    return tuple(PairNodes(*inputs, tuple(nodes)) for inputs, nodes in found.items())
