"""Edges on a path from an input to an output, and the part of a layer between some of its nodes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kan_model.network.layer import KANLayer
from kan_model.network.products import node_flags, sum_flags

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


def edges_to_outputs(edges: Sequence[Flags], layers: Sequence[KANLayer]) -> list[Flags]:
    """The edges from which a path leads to an output: ``[sums, inputs]`` of each layer.

    Args:
        edges: ``[sums, inputs]`` of each layer, such as the active edges.
        layers: The layers, whose products join sums to nodes.
    """
    found: list[Flags] = []
    is_read: Flags = np.ones(layers[-1].outputs, bool)
    for some, layer in zip(reversed(edges), reversed(layers), strict=True):
        found.insert(0, some & sum_flags(layer.products, is_read)[:, None])
        is_read = np.any(found[0], axis=0)
    return found


def edges_from_inputs(edges: Sequence[Flags], layers: Sequence[KANLayer]) -> list[Flags]:
    """The edges to which a path leads from an input: ``[sums, inputs]`` of each layer. All others are constants.

    Args:
        edges: As for :func:`edges_to_outputs`.
        layers: As for :func:`edges_to_outputs`.
    """
    found: list[Flags] = []
    is_fed: Flags = np.ones(layers[0].inputs, bool)
    for some, layer in zip(edges, layers, strict=True):
        found.append(some & is_fed)
        is_fed = node_flags(layer.products, np.any(found[-1], axis=1))
    return found


def active_edges(layers: Sequence[KANLayer]) -> list[Flags]:
    """The edges that are not pruned, symbolic ones included: ``[sums, inputs]`` of each layer."""
    return [layer.active_edges.cpu().numpy() for layer in layers]


def select_nodes(layer: KANLayer, inputs: Indices, outputs: Indices) -> KANLayer:
    """The layer with only some of its inputs and outputs (ascending indices), and the sums of these outputs."""
    if len(inputs) == layer.inputs and len(outputs) == layer.outputs:
        return layer
    products = None
    if layer.products is not None:
        products, outputs = layer.products.of_nodes(outputs), layer.products.sums_of(outputs)
    new_input, new_output = ({int(old): new for new, old in enumerate(each)} for each in (inputs, outputs))
    symbolic = [
        dataclasses.replace(edge, input=new_input[edge.input], output=new_output[edge.output])
        for edge in layer.symbolic
        if edge.input in new_input and edge.output in new_output
    ]
    # Made anew, and inputs first: few inputs of a large layer cost no copy of the whole.
    return KANLayer(
        base_weight=layer.base_weight.detach()[:, inputs][outputs],
        coefficients=layer.coefficients.detach()[:, inputs][outputs],
        degree=layer.degree,
        outside=layer.outside,
        domain=layer.domain[inputs] if layer.knots is None else None,
        knots=None if layer.knots is None else layer.knots[inputs],
        edge_mask=layer.edge_mask[:, inputs][outputs],
        symbolic=symbolic,
        bias=None if layer.bias is None else layer.bias.detach()[outputs],
        products=products,
        directions=None if layer.directions is None else layer.directions[:, inputs][outputs],
    )


def single_edge(layer: KANLayer, output: int, input_: int) -> KANLayer:
    """A layer in float64 with only this edge, without a bias and products."""
    plain = layer if layer.products is None else layer.changed(products=None)
    return select_nodes(plain, np.array([input_]), np.array([output])).changed(bias=None).double()


def connected_blocks(layer: KANLayer) -> list[tuple[Indices, Indices]]:
    """The smallest blocks of a layer that share no node: the inputs and the outputs of each, ascending.

    Blocks are in the order of their first input. Nodes without an edge are in none. Example: a layer of edges 0 -> 0,
    1 -> 0 and 2 -> 1 has the blocks ([0, 1], [0]) and ([2], [1]).
    """
    edges: Flags = layer.active_edges.cpu().numpy()
    left: Flags = np.any(edges, axis=0)
    blocks = []
    while left.any():
        inputs = np.zeros_like(left)
        inputs[np.argmax(left)] = True
        while True:
            outputs: Flags = np.any(edges[:, inputs], axis=1)
            reached: Flags = np.any(edges[outputs], axis=0)
            if np.array_equal(reached, inputs):
                break
            inputs = reached
        blocks.append((np.flatnonzero(inputs), np.flatnonzero(outputs)))
        left &= ~inputs
    return blocks
