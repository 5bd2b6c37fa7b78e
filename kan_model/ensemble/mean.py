"""The mean of several networks as one network."""

import dataclasses
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from kan_model.ensemble.one_layer import mean_layer, with_identity
from kan_model.network.layer import KANLayer
from kan_model.network.members import Members
from kan_model.network.network import KAN
from kan_model.network.products import joined_products


def mean_network(members: Sequence[KAN], *, keep_members: bool = True) -> KAN:
    """One network that answers the mean of the members' answers, before any transform of the outputs.

    The members' hidden nodes stand side by side, the first member's first; edges between members are masked. The last
    layer's edges are divided by the number of members. Members may differ in their hidden nodes, in the grids of their
    hidden nodes, in pruned and in symbolic edges.

    Members of one layer have no hidden nodes. Their outputs become the hidden nodes of the mean, which a second layer
    of identity edges x / members reads. It is the same with outputs that multiply. Without ``keep_members`` the mean is
    one layer with the mean of each edge: one curve for each input, as one member has, and its cost. Where an edge is a
    spline in one member and a formula in another, or not the same formula, or has not the same direction, there is no
    such edge, and the mean has the second layer.

    Args:
        members: One network or more; they are not changed, and no memory is shared with them.
        keep_members: Whether :func:`kan_model.ensemble.members.members_of` can give the members back.

    Returns:
        The mean, of the members' type; with ``members`` set if they are kept. In float64 it equals the mean of the
        members' answers to about 1e-12 of their size.

    Raises:
        ValueError: no members; members that differ in inputs, outputs, number of layers, type or device, in the degree,
            number of intervals or policy of a layer, or in the knots of the first layer. The message names the first
            member that differs from member 0, and in what.
    """
    if not members:
        raise ValueError("no members; wanted at least one network")
    for index, member in enumerate(members):
        _check_alike(members[0], member, index)
    if len(members[0].layers) == 1:
        mean = None if keep_members else mean_layer([member.layers[0] for member in members])
        if mean is not None:
            return KAN.of_layers([mean])
    if len(members[0].layers) == 1 or any(member.layers[-1].products is not None for member in members):
        members = [with_identity(member) for member in members]
    with torch.no_grad():
        stacks = list(zip(*(member.layers for member in members), strict=True))
        first, *middle, last = stacks
        layers = [_join(first, reads_same=True), *map(_join, middle), _join(_share(last), feeds_same=True)]
    nodes = tuple(tuple(layer.outputs for layer in stack) for stack in stacks[:-1])
    return KAN.of_layers(layers, Members(nodes, _shifts(last)) if keep_members else None)


def _check_alike(first: KAN, other: KAN, index: int) -> None:
    """Refuse a member that cannot stand beside the first."""
    _check_facts(index, _facts(first), _facts(other))
    for number, layers in enumerate(zip(first.layers, other.layers, strict=True)):
        _check_facts(index, *(_layer_facts(layer, number) for layer in layers))
    wanted, got = first.layers[0].all_knots(), other.layers[0].all_knots()
    if not torch.equal(wanted, got):
        input_ = int((wanted != got).any(dim=1).nonzero()[0])
        raise ValueError(
            f"member {index} has other knots of input {input_} than member 0: {_grid(other, input_)} instead of "
            f"{_grid(first, input_)}{', other inner knots' if _grid(first, input_) == _grid(other, input_) else ''}; "
            "wanted members whose first layers have the same knots"
        )


def _facts(kan: KAN) -> list[str]:
    device = kan.layers[0].base_weight.device
    return [
        f"{kan.width[0]} inputs",
        f"{kan.width[-1]} outputs",
        f"{len(kan.layers)} layers",
        f"numbers of type {kan.dtype} on {device}",
    ]


def _layer_facts(layer: KANLayer, number: int) -> list[str]:
    facts = {"degree": layer.degree, "grid_size": layer.grid_size, "outside": layer.outside}
    return [f"{name} {value} in layer {number}" for name, value in facts.items()]


def _check_facts(index: int, wanted: Sequence[str], got: Sequence[str]) -> None:
    for expected, found in zip(wanted, got, strict=True):
        if found != expected:
            raise ValueError(f"member {index} has {found}, member 0 has {expected}; wanted the same")


def _grid(kan: KAN, input_: int) -> str:
    low, high = kan.layers[0].domain[input_].tolist()
    return f"{kan.layers[0].grid_size} intervals from {low:g} to {high:g}"


def _share(layers: Sequence[KANLayer]) -> list[KANLayer]:
    """The last layers of all members, their edges divided by the number of members; biases stay as they are."""
    count = len(layers)
    return [
        layer.changed(
            base_weight=layer.base_weight.detach() / count,
            coefficients=layer.coefficients.detach() / count,
            symbolic=[dataclasses.replace(edge, c=edge.c / count, d=edge.d / count) for edge in layer.symbolic],
        )
        for layer in layers
    ]


def _join(layers: Sequence[KANLayer], *, reads_same: bool = False, feeds_same: bool = False) -> KANLayer:
    """One layer for those of all members, side by side.

    Args:
        layers: The layers, of the same degree, grid_size and policy.
        reads_same: They read the same nodes. Else each reads its own.
        feeds_same: They feed the same nodes, whose bias is the mean of the layers'. Else each feeds its own.
    """
    feeds, reads = _spans([e.sums for e in layers], feeds_same), _spans([e.inputs for e in layers], reads_same)
    places = list(zip(feeds, reads, strict=True))
    grids = layers[:1] if reads_same else layers
    is_uniform = all(layer.knots is None for layer in grids)
    return layers[0].changed(
        base_weight=_put([layer.base_weight.detach() for layer in layers], places),
        coefficients=_put([layer.coefficients.detach() for layer in layers], places),
        edge_mask=_put([layer.edge_mask for layer in layers], places),
        domain=torch.cat([layer.domain for layer in grids]) if is_uniform else None,
        knots=None if is_uniform else torch.cat([layer.all_knots() for layer in grids]),
        symbolic=[
            dataclasses.replace(edge, output=edge.output + fed.start, input=edge.input + read.start)
            for layer, (fed, read) in zip(layers, places, strict=True)
            for edge in layer.symbolic
        ],
        bias=_bias(layers, feeds_same),
        products=None if feeds_same else joined_products([(layer.products, layer.sums) for layer in layers]),
        directions=_directions(layers, places),
    )


def _spans(counts: Sequence[int], same: bool) -> list[slice]:
    """Where each layer's nodes are among those of the joined layer."""
    if same:
        return [slice(0, count) for count in counts]
    return [slice(end - count, end) for count, end in zip(counts, accumulate(counts), strict=True)]


def _put(parts: Sequence[Tensor], places: Sequence[tuple[slice, slice]]) -> Tensor:
    """The parts ``[outputs, inputs, …]`` at their places of a larger tensor, which is 0 elsewhere."""
    outputs, inputs = (max(span.stop for span in spans) for spans in zip(*places, strict=True))
    result = parts[0].new_zeros(outputs, inputs, *parts[0].shape[2:])
    for part, place in zip(parts, places, strict=True):
        result[place] = part
    return result


def _directions(layers: Sequence[KANLayer], places: Sequence[tuple[slice, slice]]) -> Tensor | None:
    """Of the joined layer; edges between members, which there are none of, are free."""
    if all(layer.directions is None for layer in layers):
        return None
    return _put([layer.signs for layer in layers], places)


def _bias(layers: Sequence[KANLayer], feeds_same: bool) -> Tensor | None:
    if all(layer.bias is None for layer in layers):
        return None
    biases = [_own_bias(layer) for layer in layers]
    return torch.stack(biases).mean(dim=0) if feeds_same else torch.cat(biases)


def _own_bias(layer: KANLayer) -> Tensor:
    return layer.base_weight.new_zeros(layer.sums) if layer.bias is None else layer.bias.detach()


def _shifts(last: Sequence[KANLayer]) -> tuple[tuple[float, ...], ...]:
    """What each member adds to the mean of all biases, for each output."""
    biases = torch.stack([_own_bias(layer).double() for layer in last])
    return tuple(map(tuple, (biases - biases.mean(dim=0)).tolist()))
