"""Which nodes lie on a way from the inputs to the outputs, and the part of a layer between some of its nodes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kan_model.network.layer import KANLayer

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


def reachable_from_inputs(edges: Sequence[Flags]) -> list[Flags]:
    """Nodes that are reached from an input, level by level, inputs first.

    Args:
        edges: ``[outputs, inputs]`` of each layer: the edges that are there.
    """
    levels: list[Flags] = [np.ones(edges[0].shape[1], bool)]
    for layer in edges:
        levels.append(np.any(layer & levels[-1], axis=1))
    return levels


def reaching_outputs(edges: Sequence[Flags]) -> list[Flags]:
    """Nodes from which an output can be reached, level by level, inputs first.

    Args:
        edges: As for :func:`reachable_from_inputs`.
    """
    levels: list[Flags] = [np.ones(edges[-1].shape[0], bool)]
    for layer in reversed(edges):
        levels.insert(0, np.any(layer & levels[0][:, None], axis=0))
    return levels


def active_edges(layers: Sequence[KANLayer]) -> list[Flags]:
    """The edges that are there, symbolic ones among them: ``[outputs, inputs]`` of each layer."""
    return [layer.active_edges.cpu().numpy() for layer in layers]


def with_nodes(layer: KANLayer, inputs: Indices, outputs: Indices) -> KANLayer:
    """The layer's edges between some of its inputs and some of its outputs (ascending indices)."""
    if len(inputs) == layer.inputs and len(outputs) == layer.outputs:
        return layer
    new_input, new_output = ({int(old): new for new, old in enumerate(each)} for each in (inputs, outputs))
    symbolic = [
        dataclasses.replace(edge, input=new_input[edge.input], output=new_output[edge.output])
        for edge in layer.symbolic
        if edge.input in new_input and edge.output in new_output
    ]
    return layer.changed(
        base_weight=layer.base_weight.detach()[outputs][:, inputs],
        coefficients=layer.coefficients.detach()[outputs][:, inputs],
        domain=layer.domain[inputs] if layer.knots is None else None,
        knots=None if layer.knots is None else layer.knots[inputs],
        edge_mask=layer.edge_mask[outputs][:, inputs],
        symbolic=symbolic,
        bias=None if layer.bias is None else layer.bias.detach()[outputs],
    )
