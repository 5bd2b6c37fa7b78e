"""Members of one layer, which have no hidden nodes to stand side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.symbolic_edge import SymbolicEdge

_IDENTITY = "x"


def with_identity(member: KAN) -> KAN:
    """The same function of one layer more: the outputs become hidden nodes, which identity edges read.

    Behind edges with a direction they are rising edges with the base x alone, which a further fit cannot turn.
    """
    last = member.layers[-1]
    outputs, like = last.outputs, last.base_weight
    if last.directions is not None:
        return KAN.of_layers([*member.layers, _rising_identity(last, like.new_ones(outputs).diag())])
    identity = KANLayer(
        like.new_zeros(outputs, outputs),
        like.new_zeros(outputs, outputs, last.coefficients.shape[2]),
        degree=last.degree,
        outside=last.outside,
        domain=like.new_tensor([[-1.0, 1.0]]).expand(outputs, 2),
        edge_mask=like.new_zeros(outputs, outputs),
        symbolic=[SymbolicEdge(node, node, _IDENTITY, 1.0, 0.0, 1.0, 0.0) for node in range(outputs)],
    )
    return KAN.of_layers([*member.layers, identity])


def _rising_identity(last: KANLayer, edges: Tensor) -> KANLayer:
    """Edges of 1·x where ``edges`` ``[outputs, outputs]`` is 1."""
    return KANLayer(
        edges,
        edges.new_zeros(*edges.shape, last.coefficients.shape[2]),
        degree=last.degree,
        outside=last.outside,
        domain=edges.new_tensor([[-1.0, 1.0]]).expand(len(edges), 2),
        edge_mask=edges.clone(),
        directions=edges.to(torch.int8),
    )


def mean_layer(layers: Sequence[KANLayer]) -> KANLayer | None:
    """The layer whose edges are the means of the layers' edges.

    A layer has a spline or one function on an edge. So the functions of the edge must be the same in all layers, up to
    c and d, and no layer may have a spline there. An edge has one direction, and with it one base. No node may
    multiply: the mean of products is no product.

    Args:
        layers: Layers between the same nodes, on the same grids.

    Returns:
        The layer; None if the mean of an edge is no edge.
    """
    symbolic = _mean_functions(layers)
    has_one_direction = all(torch.equal(layer.signs, layers[0].signs) for layer in layers)
    if symbolic is None or not has_one_direction or any(layer.products is not None for layer in layers):
        return None
    masks = torch.stack([layer.edge_mask for layer in layers])
    weights = torch.stack([layer.base_weight.detach() for layer in layers])
    coefficients = torch.stack([layer.coefficients.detach() for layer in layers])
    biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
    return layers[0].changed(
        base_weight=(weights * masks).mean(dim=0),
        coefficients=(coefficients * masks.unsqueeze(-1)).mean(dim=0),
        edge_mask=(masks != 0).any(dim=0).to(masks),
        symbolic=symbolic,
        bias=_sum(biases) / len(layers) if biases else None,
    )


def _mean_functions(layers: Sequence[KANLayer]) -> list[SymbolicEdge] | None:
    """The means of the symbolic edges; None if one of them is no symbolic edge."""
    found: dict[tuple[int, int], SymbolicEdge] = {}
    for edge in (edge for layer in layers for edge in layer.symbolic):
        place, c, d = (edge.output, edge.input), edge.c / len(layers), edge.d / len(layers)
        before = found.get(place)
        if before is not None and (before.function, before.a, before.b) != (edge.function, edge.a, edge.b):
            return None
        c, d = (c, d) if before is None else (before.c + c, before.d + d)
        found[place] = SymbolicEdge(*place, edge.function, edge.a, edge.b, c, d)
    has_spline = torch.stack([layer.edge_mask != 0 for layer in layers]).any(dim=0)
    return None if any(has_spline[place] for place in found) else list(found.values())


def _sum(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).sum(dim=0)
