"""Common grids for several networks, so that :func:`kan_model.ensemble.mean.mean_network` can make one of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kan_model.grids.refinement import insert_knots, refine_grid, subdivide
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN

# Knots this near to each other, in units of the type's rounding of the domain, are the same.
_ROUNDINGS = 8


def align_grids(members: Sequence[KAN]) -> list[KAN]:
    """The networks on common grids: the same first layer's knots, the same number of intervals in each layer.

    Networks whose fits ended on different grids have the same answers on finer ones. The first layers get the knots of
    all of them, hidden layers the largest number of intervals, by knot insertion. No answer changes, except under
    ``decay`` outside the domain, as in :func:`kan_model.grids.refinement.refine_grid`. What is common already stays.

    Example: first layers with the knots 0, 1/2, 1 and 0, 1/3, 2/3, 1 get 0, 1/3, 1/2, 2/3, 1.

    Args:
        members: Networks of as many layers, of the same degrees; they are not changed.

    Returns:
        The networks, in their order.

    Raises:
        ValueError: no networks; other inputs, numbers of layers or degrees; domains of the first layer that differ.
    """
    if not members:
        raise ValueError("no members; wanted at least one network")
    for index, member in enumerate(members):
        facts, wanted = _facts(member), _facts(members[0])
        if facts != wanted:
            raise ValueError(f"member {index} has inputs and degrees {facts}, member 0 has {wanted}; wanted the same")
    stacks = zip(*(member.layers for member in members), strict=True)
    levels = [_align_hidden(layers) if index else _align_first(layers) for index, layers in enumerate(stacks)]
    return [member.with_layers(layers) for member, layers in zip(members, zip(*levels, strict=True), strict=True)]


def _facts(kan: KAN) -> tuple[int, list[int]]:
    return kan.width[0], [layer.degree for layer in kan.layers]


def _align_hidden(layers: Sequence[KANLayer]) -> list[KANLayer]:
    size = max(layer.grid_size for layer in layers)
    return [_refine_exactly(layer, size) for layer in layers]


def _refine_exactly(layer: KANLayer, size: int) -> KANLayer:
    """The layer on so many intervals, uniform only if that inserts knots."""
    if layer.knots is None and size % layer.grid_size:
        return insert_knots(layer, subdivide(layer, size))
    return refine_grid(KAN.of_layers([layer]), size).layers[0]


def _align_first(layers: Sequence[KANLayer]) -> list[KANLayer]:
    if all(torch.equal(layer.all_knots(), layers[0].all_knots()) for layer in layers):
        return [layer.changed() for layer in layers]
    breaks = [layer.all_knots().double()[:, layer.degree : -layer.degree] for layer in layers]
    unit = torch.finfo(layers[0].domain.dtype).eps * layers[0].domain.abs().amax(dim=1).double() * _ROUNDINGS
    _check_domains(breaks, unit)
    common = [_union([each[place] for each in breaks], float(unit[place])) for place in range(layers[0].inputs)]
    size = max(map(len, common))
    finer = torch.stack([_fill(each, size) for each in common])
    return [insert_knots(layer, finer) for layer in layers]


def _check_domains(breaks: Sequence[Tensor], unit: Tensor) -> None:
    for index, each in enumerate(breaks):
        apart = (each[:, [0, -1]] - breaks[0][:, [0, -1]]).abs().amax(dim=1) > unit
        if apart.any():
            input_ = int(apart.nonzero()[0])
            domains = [(of[input_, 0].item(), of[input_, -1].item()) for of in (each, breaks[0])]
            raise ValueError(
                f"member {index} has the domain {domains[0]} for input {input_}, member 0 has {domains[1]}; wanted "
                "first layers on the same domains"
            )


def _union(breaks: Sequence[Tensor], unit: float) -> Tensor:
    """The knots of all, ascending; of those that differ by rounding the first, at the upper end the last."""
    merged = torch.cat(list(breaks)).sort().values
    is_new = torch.cat([merged.new_ones(1, dtype=torch.bool), merged.diff() > unit])
    found = merged[is_new].clone()
    found[-1] = merged[-1]
    return found


def _fill(breaks: Tensor, count: int) -> Tensor:
    """So many knots: the widest intervals are halved."""
    while len(breaks) < count:
        widest = int(breaks.diff().argmax())
        middle = (breaks[widest] + breaks[widest + 1]) / 2
        breaks = torch.cat([breaks[: widest + 1], middle.unsqueeze(0), breaks[widest + 1 :]])
    return breaks
