"""The nodes of a pykan network: sums, their products, and what scales and shifts them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from kan_model.interop.parts import InteropError, take
from kan_model.network.products import MOST_FACTORS, Products, products_of


@dataclass(frozen=True)
class PykanNetwork:
    """The parts of a pykan network.

    Attributes:
        tensors: Parameters under the names of pykan's state dict.
        width: [nodes that add, nodes that multiply] of each level, inputs first.
        arity: Number of factors of a node that multiplies; a list: for each level those of each of its nodes.
        base_functions: "silu" or "zero" for each layer.
        function_names: For each layer the names of its symbolic functions ``[outputs][inputs]``; None if
            the model's symbolic part is switched off.
    """

    tensors: Mapping[str, Tensor]
    width: Sequence[Sequence[int]]
    base_functions: Sequence[str]
    function_names: Sequence[Sequence[Sequence[str]]] | None
    arity: int | Sequence[Sequence[int]] = 2


def products_of_layer(network: PykanNetwork, index: int, sums: int) -> Products | None:
    """The nodes that a layer feeds: those that add first, then those that multiply, as in MultKAN.forward.

    Raises:
        InteropError: another number of sums, or a node of too many factors.
    """
    plain, multiplying = network.width[index + 1]
    arity = network.arity
    given = [arity] * multiplying if isinstance(arity, int) else [*arity, *[()] * (index + 2)][index + 1]
    if isinstance(given, int):
        raise InteropError(f"mult_arity is {arity}; wanted one number, or for each level a list of numbers")
    each = [int(number) for number in given][:multiplying]
    if len(each) != multiplying or min(each, default=1) < 1 or plain + sum(each) != sums:
        raise InteropError(
            f"layer {index} has outputs for {sums} sums, and its width says {plain} nodes that add and products of "
            f"{each} factors; wanted one sum for each node that adds, and for each factor"
        )
    if max(each, default=1) > MOST_FACTORS:
        raise InteropError(f"layer {index} feeds a node of {max(each)} factors; wanted {MOST_FACTORS} at most")
    starts = itertools.accumulate(each, initial=plain)
    multiplied = [range(start, start + count) for start, count in zip(starts, each, strict=False)]
    return products_of([*([place] for place in range(plain)), *multiplied])


def scale_and_bias(network: PykanNetwork, index: int, sums: int, products: Products | None) -> tuple[Tensor, Tensor]:
    """Factor and bias of each sum: a node is node_scale·Π(subnode_scale·(sum of edges) + subnode_bias) + node_bias.

    Raises:
        InteropError: a node that multiplies and has a bias.
    """
    nodes = sums if products is None else products.nodes
    node_scale, node_bias = (take(network.tensors, f"{name}_{index}", (nodes,)) for name in ("node_scale", "node_bias"))
    # Copies, because they are changed below, and those of a float64 model are its own.
    scale, bias = (
        take(network.tensors, f"{name}_{index}", (sums,)).clone() for name in ("subnode_scale", "subnode_bias")
    )
    factors = [(place,) for place in range(sums)] if products is None else products.factors
    for node, (first, *others) in enumerate(factors):
        # The first factor takes the node's scale.
        scale[first], bias[first] = scale[first] * node_scale[node], bias[first] * node_scale[node]
        if not others:
            bias[first] += node_bias[node]
        elif node_bias[node] != 0:
            raise InteropError(
                f"layer {index}: node {node} multiplies and has the bias {node_bias[node].item():.6g}; wanted 0, or a "
                "node that adds"
            )
    return scale, bias
