"""Which nodes of a level are drawn, and where: a node that multiplies stands above its sums."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN

Place = tuple[float, float]
# How far, in inches, the sums of a product are below it.
_DROP = 0.42


@dataclass(frozen=True)
class Level:
    """The drawn nodes of a level.

    Attributes:
        nodes: The abscissa of each drawn node.
        sums: The place of each of their sums, where the edges end. A node that adds is its sum.
        factors: For each drawn node that multiplies its sums.
        y: The ordinate of the nodes.
    """

    nodes: dict[int, float]
    sums: dict[int, Place]
    factors: dict[int, tuple[int, ...]]
    y: float


def drawn_nodes(
    kan: KAN, inputs: Sequence[set[int]], sums: Sequence[set[int]], most: int
) -> Iterator[tuple[KANLayer | None, list[int]]]:
    """For each level the layer that feeds it and the nodes that are drawn, inputs first.

    All nodes are drawn of a level with few nodes, else those that a drawn edge joins.

    Args:
        kan: The network.
        inputs: For each layer the nodes that drawn edges read.
        sums: For each layer the sums that drawn edges feed.
        most: The most nodes of a level that is drawn as a whole.
    """
    for index, count in enumerate(kan.width):
        layer = kan.layers[index - 1] if index else None
        found = set(inputs[index]) if index < len(inputs) else set()
        if layer is not None:
            fed = sums[index - 1]
            found |= fed if layer.products is None else {int(layer.products.node_of[sum_]) for sum_ in fed}
        yield layer, list(range(count)) if count <= most else sorted(found)


def slots(layer: KANLayer | None, nodes: Sequence[int]) -> list[tuple[int, ...]]:
    """The sums of each drawn node, each of which takes a place of its own; of an input its number."""
    if layer is None or layer.products is None:
        return [(node,) for node in nodes]
    return [layer.products.factors[node] for node in nodes]


def place_level(layer: KANLayer | None, nodes: Sequence[int], breadth: float, y: float) -> Level:
    """Nodes side by side over ``breadth``, each as broad as it has sums."""
    of_nodes = slots(layer, nodes)
    width = breadth / max(1, sum(map(len, of_nodes)))
    level, start = Level({}, {}, {}, y), 0
    for node, sums in zip(nodes, of_nodes, strict=True):
        level.nodes[node] = width * (start + len(sums) / 2)
        multiplies = len(sums) > 1
        if multiplies:
            level.factors[node] = sums
        for place, sum_ in enumerate(sums, start=start):
            level.sums[sum_] = (width * (place + 0.5), y - _DROP if multiplies else y)
        start += len(sums)
    return level
