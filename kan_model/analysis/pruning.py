"""Pruning: a smaller network without the edges, nodes and inputs that hardly change its answers."""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kan_model.analysis.attribution import Attribution, attribute
from kan_model.ensemble.members import members_of
from kan_model.network.checks import check_rows
from kan_model.network.connections import (
    Flags,
    Indices,
    active_edges,
    edges_from_inputs,
    edges_to_outputs,
    select_nodes,
)
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.products import sum_flags
from kan_model.rows.blocks import answers


@dataclass(frozen=True)
class Pruned:
    """The smaller network, and which nodes and edges of the original it kept.

    Attributes:
        kan: The smaller network; shares no memory with the original.
        nodes: Indices of the original's nodes that were kept: level by level, inputs first, ascending.
        edges: ``[sums, inputs]`` of each of the original's layers: True for edges that were kept.
        removed_edges: How many edges were removed.
    """

    kan: KAN
    nodes: tuple[tuple[int, ...], ...]
    edges: tuple[Flags, ...]
    removed_edges: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of the inputs that were kept: the smaller network reads ``rows[:, list(pruned.inputs)]``."""
        return self.nodes[0]

    @property
    def left_edges(self) -> int:
        """How many edges were kept."""
        return sum(int(layer.sum()) for layer in self.edges)


def prune(
    kan: KAN,
    rows: Tensor,
    *,
    node_threshold: float = 1e-2,
    edge_threshold: float = 3e-2,
    edges: int | None = None,
    keep_inputs: bool = False,
) -> Pruned:
    """A smaller network without the weak edges and nodes.

    Scores are those of :func:`kan_model.analysis.attribution.attribute`. A hidden node or an input is removed, with its
    edges, if its score is below node_threshold times the largest score of its level. An edge is removed if its score
    is below edge_threshold times the largest score of its layer. Then edges and nodes go that are on no path from an
    input to an output. Outputs stay; an output without edges is a constant. With thresholds of 0 only edges and nodes
    without a path go, and the function stays the same. Scaling a target changes nothing.

    A removed edge is replaced by its mean on the rows: the sum that it fed gets a bias, so that the sum's mean on the
    rows stays the same. This holds in later layers too, whose inputs have changed. It also holds for each member of a
    network that is the mean of several (:mod:`kan_model.ensemble`). A sum that lost all edges is a constant factor if
    its node multiplies.

    Args:
        kan: The network; it is not changed.
        rows: ``[2 or more rows, inputs]``, such as the training rows.
        node_threshold: 0 to 1.
        edge_threshold: 0 to 1.
        edges: Keep at most this number of edges, the strongest of all layers that are on a path from an input to an
            output; the thresholds are then ignored. None: use the thresholds.
        keep_inputs: Keep inputs that no kept edge reads.

    Raises:
        ValueError: rows or edges that ``attribute`` refuses; a threshold outside 0 to 1, or ``edges`` below 1; a
            network with the same answer to all rows; no path from an input to an output would be left.

    Source: arXiv 2404.19756, section 2.5.1; scores, arXiv 2408.10205, section 4.1; thresholds of pykan, there absolute.
    """
    _check(node_threshold, edge_threshold, edges)
    scores = attribute(kan, rows)
    active = active_edges(kan.layers)
    if not scores.inputs.any():
        raise ValueError("the network answers the same to all rows, so no edge has a score; wanted answers that differ")
    if edges is None:
        kept = _keep_connected(_keep_above(kan, scores, active, node_threshold, edge_threshold), kan)
    else:
        kept = _keep_strongest(kan, scores, active, edges)
    if not any(layer.any() for layer in kept):
        given = f"edges={edges}" if edges is not None else f"{node_threshold=}, {edge_threshold=}"
        raise ValueError(f"with {given} no path from an input to an output is left; wanted to keep more edges")
    nodes: list[Indices] = [np.flatnonzero(layer.any(axis=0)) for layer in kept] + [np.arange(kan.width[-1])]
    if keep_inputs:
        nodes[0] = np.arange(kan.width[0])
    masked = _keep_means(kan, kept, rows)
    layers = [select_nodes(layer, nodes[index], nodes[index + 1]) for index, layer in enumerate(masked)]
    return Pruned(
        _keep_members(kan, KAN.of_layers(layers), nodes, rows),
        tuple(tuple(level.tolist()) for level in nodes),
        tuple(kept),
        sum(int(before.sum() - after.sum()) for before, after in zip(active, kept, strict=True)),
    )


def _check(node_threshold: float, edge_threshold: float, edges: int | None) -> None:
    for name, threshold in (("node_threshold", node_threshold), ("edge_threshold", edge_threshold)):
        if not (math.isfinite(threshold) and 0 <= threshold <= 1):
            raise ValueError(f"{name} is {threshold}; wanted 0 to 1, a share of the largest score")
    if edges is not None and edges < 1:
        raise ValueError(f"edges is {edges}; wanted 1 or more")


def _keep_above(
    kan: KAN, scores: Attribution, active: Sequence[Flags], node_threshold: float, edge_threshold: float
) -> list[Flags]:
    """Edges above the edge threshold whose two nodes are above the node threshold."""
    nodes = [level >= node_threshold * level.max() for level in scores.nodes]
    nodes[-1][:] = True
    return [
        active[index]
        & (found >= edge_threshold * found.max())
        & nodes[index]
        & sum_flags(layer.products, nodes[index + 1])[:, None]
        for index, (found, layer) in enumerate(zip(scores.edges, kan.layers, strict=True))
    ]


def _keep_connected(edges: Sequence[Flags], kan: KAN) -> list[Flags]:
    """The edges that are on a path from an input to an output."""
    return edges_from_inputs(edges_to_outputs(edges, kan.layers), kan.layers)


def _keep_strongest(kan: KAN, scores: Attribution, active: Sequence[Flags], count: int) -> list[Flags]:
    """The longest list of strongest edges of which at most ``count`` are connected, without the others."""
    flat = np.concatenate([np.where(a, s, -1.0).ravel() for a, s in zip(active, scores.edges, strict=True)])
    ranks = np.empty(len(flat), np.int64)
    ranks[np.argsort(-flat, kind="stable")] = np.arange(len(flat))
    ends = np.cumsum([layer.size for layer in active])[:-1]
    by_layer = [part.reshape(a.shape) for part, a in zip(np.split(ranks, ends), active, strict=True)]

    def kept(strongest: int) -> list[Flags]:
        return _keep_connected([a & (rank < strongest) for a, rank in zip(active, by_layer, strict=True)], kan)

    def left(strongest: int) -> int:
        return sum(int(layer.sum()) for layer in kept(strongest))

    # Bisection works because more edges never leave fewer of them connected.
    return kept(bisect.bisect_right(range(1, len(flat) + 1), count, key=left))


def _keep_means(kan: KAN, kept: Sequence[Flags], rows: Tensor) -> list[KANLayer]:
    """Layers with only the kept edges, and with biases that leave the mean of every sum as it was."""
    before = check_rows(kan, rows).to(kan.layers[0].base_weight.detach().double())
    after, changed, layers = before, False, []
    for layer, edges in zip(kan.layers, kept, strict=True):
        masked = _mask_edges(layer, edges)
        sums = _sums(layer, before)
        changed = changed or not np.array_equal(edges, layer.active_edges.cpu().numpy())
        if changed:
            shift = sums.mean(dim=0) - _sums(masked, after).mean(dim=0)
            bias = shift if masked.bias is None else masked.bias.detach().double() + shift
            masked = masked.changed(bias=bias.to(layer.base_weight.dtype))
        before, after = layer.nodes_of(sums), masked.nodes_of(_sums(masked, after))
        layers.append(masked)
    return layers


def _keep_members(kan: KAN, smaller: KAN, nodes: Sequence[Indices], rows: Tensor) -> KAN:
    """The smaller network with the members' nodes that are left, and with the mean of each member as it was."""
    if kan.members is None:
        return smaller
    same = KAN.of_layers(smaller.layers, kan.members.kept(nodes[1:-1], kan.members.shifts))
    x = rows.to(kan.layers[0].base_weight.detach().double())
    before = [answers(each.double(), x).mean(dim=0) for each in members_of(kan)]
    after = [answers(each.double(), x[:, nodes[0]]).mean(dim=0) for each in members_of(same)]
    shifts = [
        (was.new_tensor(shift) + was - now).tolist()
        for shift, was, now in zip(kan.members.shifts, before, after, strict=True)
    ]
    return KAN.of_layers(smaller.layers, kan.members.kept(nodes[1:-1], shifts))


def _mask_edges(layer: KANLayer, edges: Flags) -> KANLayer:
    """A copy with only these edges; the numbers of all others are 0."""
    keep = torch.from_numpy(edges).to(layer.edge_mask.device)
    return layer.changed(
        base_weight=torch.where(keep, layer.base_weight.detach(), 0),
        coefficients=torch.where(keep.unsqueeze(-1), layer.coefficients.detach(), 0),
        edge_mask=torch.where(keep, layer.edge_mask, 0),
        symbolic=[edge for edge in layer.symbolic if edges[edge.output, edge.input]],
    )


def _sums(layer: KANLayer, x: Tensor) -> Tensor:
    """The layer's sums ``[rows, sums]`` in float64, block by block."""
    return answers(layer.changed(products=None).double(), x)
