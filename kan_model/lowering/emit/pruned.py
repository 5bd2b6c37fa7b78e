"""A network without the nodes that pruning disconnected, so that the graph does not compute them."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kan_model.network.connections import Indices, active_edges, edges_from_inputs, edges_to_outputs, select_nodes
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.products import Products

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Compact:
    """The same function with fewer nodes.

    Attributes:
        layers: The layers with only the kept nodes; they have no biases, and their nodes are the sums.
        products: Which of these sums make which kept node, for each layer; None: each sum is a node.
        nodes: Indices of the kept nodes in the original network, level by level, inputs first.
        sums: Indices of the kept sums of each original layer.
        fixed: ``[sums, inputs]`` of each original layer: the values of edges that read a constant node; 0 for all other
            edges.
        biases: ``[sums]`` of each original layer.
    """

    layers: tuple[KANLayer, ...]
    products: tuple[Products | None, ...]
    nodes: tuple[Indices, ...]
    sums: tuple[Indices, ...]
    fixed: tuple[Values, ...]
    biases: tuple[Values, ...]

    def constant(self, index: int) -> Values:
        """Fixed edges and bias of each kept sum of layer ``index``, ``[sums]``."""
        constant: Values = (self.fixed[index].sum(axis=1) + self.biases[index])[self.sums[index]]
        return constant


def remove_pruned(kan: KAN) -> Compact:
    """Leave out nodes on no path from an input to an output. Outputs stay, and at least one node of each level."""
    live = edges_to_outputs(active_edges(kan.layers), kan.layers)
    varying = edges_from_inputs(live, kan.layers)
    kept = [np.flatnonzero(edges.any(axis=0)) for edges in varying]
    # A level keeps at least one node, because a layer needs one.
    nodes = (*(level if len(level) else np.array([0]) for level in kept), np.arange(kan.width[-1]))
    exact = copy.deepcopy(kan).double()
    layers, products, sums, fixed, biases = [], [], [], [], []
    values = torch.zeros(kan.width[0], dtype=torch.float64)
    for index, layer in enumerate(kan.layers):
        with torch.no_grad():
            edges = exact.layers[index].edge_outputs(values[None])[0].numpy()
        # Only edges from constant nodes keep a value here. A pruned edge is 0, even where it computes 0 · NaN.
        edges[~live[index] | varying[index]] = 0
        bias = exact.layers[index].bias
        biases.append(np.zeros(layer.sums) if bias is None else bias.detach().numpy())
        values = layer.nodes_of(torch.from_numpy(edges.sum(axis=1) + biases[-1]))
        sums.append(nodes[index + 1] if layer.products is None else layer.products.sums_of(nodes[index + 1]))
        edges[np.ix_(sums[-1], nodes[index])] = 0
        fixed.append(edges)
        left = select_nodes(layer, nodes[index], nodes[index + 1])
        products.append(left.products)
        is_bare = left.bias is None and left.products is None
        layers.append(left if is_bare else left.changed(bias=None, products=None))
    return Compact(tuple(layers), tuple(products), nodes, tuple(sums), tuple(fixed), tuple(biases))
