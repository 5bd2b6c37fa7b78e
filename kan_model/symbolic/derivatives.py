"""A network of formulas as a function of its constants, with the derivatives by them.

It computes the answers and their derivatives without splines, which such a network does not have. A search makes
thousands of small fits, so the time of a step decides. Example: of c·f(a·x + b) + d the derivatives by a, b, c, d are
c·f′·x, c·f′, f and 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.network.functions import FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.products import multiply
from kan_model.network.symbolic_values import group_by_function


class FormulaFunction:
    """The answers of a network without splines for given rows, as a function of all its constants.

    Args:
        kan: The network; all its edges are symbolic.
        rows: ``[rows, inputs]``, in float64.
        columns: The place of each layer's ``symbolic_affine`` and ``bias`` among the constants, by the parameter's
            name.
    """

    def __init__(self, kan: KAN, rows: Tensor, columns: Mapping[str, slice]) -> None:
        self._rows = rows
        self._layers = [_Layer.of(layer, index, columns) for index, layer in enumerate(kan.layers)]

    def answers(self, constants: Tensor) -> Tensor:
        """``[rows, outputs]`` for ``[constants]``."""
        x = self._rows
        with torch.no_grad():
            for layer in self._layers:
                x = layer.run(x, constants).nodes
        return x

    def derivatives(self, constants: Tensor) -> tuple[Tensor, Tensor]:
        """The answers ``[rows, outputs]``, and their derivatives ``[rows, outputs, constants]``."""
        passes, x = list[_Pass](), self._rows
        with torch.enable_grad():
            for layer in self._layers:
                passes.append(layer.run(x, constants))
                x = passes[-1].nodes
        found = x.new_zeros(*x.shape, len(constants))
        watched = [each for one in passes for each in (one.arguments, one.sums)]
        for output in range(x.shape[1]):
            slopes = torch.autograd.grad(x[:, output].sum(), watched, retain_graph=True, materialize_grads=True)
            for place, (layer, one) in enumerate(zip(self._layers, passes, strict=True)):
                layer.write(one, slopes[2 * place], slopes[2 * place + 1], found[:, output])
        return x.detach(), found


@dataclass(frozen=True)
class _Pass:
    """The values in a layer, ``[rows, symbolic edges]`` each, and ``[rows, sums]`` and ``[rows, nodes]``."""

    read: Tensor
    arguments: Tensor
    values: Tensor
    sums: Tensor
    nodes: Tensor


@dataclass(frozen=True)
class _Layer:
    """The symbolic edges of a layer, in an order in which those with the same function are neighbours.

    Attributes:
        counts: Number of edges by function.
        outputs: The sum that each edge feeds.
        inputs: The node that each edge reads.
        sums: Number of sums.
        places: The factors of the nodes; None if the nodes are the sums.
        affine: ``[edges, 4]``, the places of a, b, c, d among the constants.
        bias: The place of the biases; None without any.
    """

    counts: Mapping[str, int]
    outputs: Tensor
    inputs: Tensor
    sums: int
    places: Tensor | None
    affine: Tensor
    bias: slice | None

    @classmethod
    def of(cls, layer: KANLayer, index: int, columns: Mapping[str, slice]) -> "_Layer":
        counts, order, outputs, inputs = group_by_function(layer.symbolic, torch.device("cpu"))
        own = columns.get(f"layers.{index}.symbolic_affine", slice(0, 0))
        affine = torch.arange(own.start, own.stop).view(-1, 4)[order.long()]
        places = None if layer.products is None else torch.from_numpy(layer.products.places())
        bias = columns.get(f"layers.{index}.bias")
        return cls(counts, outputs.long(), inputs.long(), layer.sums, places, affine, bias)

    def run(self, x: Tensor, constants: Tensor) -> _Pass:
        """From the nodes before, ``[rows, inputs]``, to the layer's own."""
        a, b, c, d = constants[self.affine].T
        read = x[:, self.inputs]
        arguments = a * read + b
        if torch.is_grad_enabled() and not arguments.requires_grad:
            arguments.requires_grad_()
        parts = arguments.split(list(self.counts.values()), dim=1)
        found = [FUNCTIONS[name].torch(part) for name, part in zip(self.counts, parts, strict=True)]
        values = torch.cat(found, dim=1) if found else arguments
        sums = x.new_zeros(len(x), self.sums).index_add(1, self.outputs, c * values + d)
        if self.bias is not None:
            sums = sums + constants[self.bias]
        return _Pass(read, arguments, values, sums, sums if self.places is None else multiply(sums, self.places))

    def write(self, one: _Pass, by_arguments: Tensor, by_sums: Tensor, found: Tensor) -> None:
        """Write the derivatives by the layer's constants to ``[rows, constants]``."""
        by_edges = by_sums[:, self.outputs]
        columns = (by_arguments * one.read, by_arguments, by_edges * one.values, by_edges)
        for place, column in zip(self.affine.T, columns, strict=True):
            found[:, place] = column.detach()
        if self.bias is not None:
            found[:, self.bias] = by_sums
