"""A layer written block by block: for layers whose edges form blocks that share no node, as those of an ensemble."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from kan_model.lowering.strategies.strategy import Splines, Strategy
from kan_model.network.connections import Indices, connected_blocks
from kan_model.network.layer import KANLayer
from kan_model.onnx_graph import GraphBuilder

# The inputs and the outputs of a part, ascending.
Part: TypeAlias = tuple[Indices, Indices]
_COUNTS = (2, 4, 8, 16)
# Parts must leave out this share of the layer's edges: splitting and joining the nodes costs operators.
_LEAST_SAVED = 0.25


@dataclass(frozen=True)
class InBlocks:
    """Another strategy, for ``count`` parts of the layer, one after the other.

    The product of a part has the size of its own inputs and outputs. Example: 8 blocks of 16 · 8 edges are one dense
    product of 128 · 64 edges, 2 parts of 64 · 32, 4 of 32 · 16, or 8 of 16 · 8. More parts do less work with more
    operators, so the number of parts is measured, as the strategy is (docs/numerics.md).

    Attributes:
        strategy: The strategy of each part.
        count: Number of parts, 2 or more.
    """

    strategy: Strategy
    count: int

    @property
    def name(self) -> str:
        """The name in the manifest."""
        return f"{self.strategy.name}_in_{self.count}_blocks"

    @property
    def has_product(self) -> bool:
        """That of the strategy."""
        return self.strategy.has_product

    def applies(self, layer: KANLayer) -> bool:
        """True if the strategy applies and the layer falls into so many parts."""
        return self.strategy.applies(layer) and self.count in part_counts(layer)

    def emit(self, graph: GraphBuilder, layer: KANLayer, x: str) -> Splines:
        """The splines of the whole layer, for the graph that gives every edge."""
        return self.strategy.emit(graph, layer, x)

    def parts(self, layer: KANLayer) -> list[Part]:
        """The parts of a layer: one if it has no edges. Outputs without an edge belong to the first."""
        parts = _parts(connected_blocks(layer), self.count) or [(np.arange(layer.inputs), np.arange(0))]
        unfed = np.setdiff1d(np.arange(layer.outputs), np.concatenate([outputs for _, outputs in parts]))
        (inputs, outputs), *others = parts
        return [(inputs, np.union1d(outputs, unfed)), *others]


def part_counts(layer: KANLayer) -> list[int]:
    """The numbers of parts to try: 2, 4, 8 and so on and the number of blocks, where that leaves out enough edges.

    None for a layer without splines: its formulas cost nothing where there are no edges.
    """
    blocks = connected_blocks(layer) if layer.edge_mask.any() else []
    counts = sorted({count for count in (*_COUNTS, len(blocks)) if 1 < count <= min(len(blocks), _COUNTS[-1])})
    most = (1 - _LEAST_SAVED) * layer.inputs * layer.outputs
    return [count for count in counts if sum(len(i) * len(o) for i, o in _parts(blocks, count)) <= most]


def _parts(blocks: Sequence[Part], count: int) -> list[Part]:
    """The blocks in ``count`` groups of neighbours; in fewer if there are fewer blocks."""
    ends = np.linspace(0, len(blocks), min(count, len(blocks)) + 1).round().astype(int)
    groups = [blocks[start:end] for start, end in pairwise(ends)]
    return [(_union(inputs for inputs, _ in group), _union(outputs for _, outputs in group)) for group in groups]


def _union(nodes: Iterable[Indices]) -> Indices:
    return np.sort(np.concatenate(list(nodes)))
