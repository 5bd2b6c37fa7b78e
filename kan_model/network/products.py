"""Nodes that multiply: which sums of a layer make which node.

The edges of a layer end in sums. A node is one of these sums, or the product of several.

Example: ``[2, [0, 1], 1]`` computes x·y with identity edges. Its first layer has two sums, s₀ = x and s₁ = y, and one
node, s₀·s₁.

Source: KAN 2.0, arXiv 2408.10205, section 2.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]
MOST_FACTORS = 8


@dataclass(frozen=True)
class Products:
    """The nodes of a layer.

    Attributes:
        factors: For each node the indices of the sums that it multiplies. Each sum is a factor of one node. A node of
            one index is that sum.
    """

    factors: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        """Refuse numbers that make no nodes.

        Raises:
            ValueError: a node without factors or with more than 8; a sum that is left out or given twice.
        """
        counts = [len(node) for node in self.factors]
        if not counts or min(counts) < 1 or max(counts) > MOST_FACTORS:
            raise ValueError(f"nodes have {counts} factors; wanted 1 to {MOST_FACTORS} for each")
        every = list(itertools.chain(*self.factors))
        if any(type(sum_) is not int for sum_ in every) or sorted(every) != list(range(sum(counts))):
            raise ValueError(f"factors are {self.factors}; wanted each of {sum(counts)} sums once")

    @property
    def sums(self) -> int:
        """Number of sums."""
        return sum(map(len, self.factors))

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.factors)

    @property
    def node_of(self) -> Indices:
        """``[sums]``, the node of which each sum is a factor."""
        node_of = np.empty(self.sums, np.int64)
        for node, factors in enumerate(self.factors):
            node_of[list(factors)] = node
        return node_of

    def sums_of(self, nodes: Sequence[int] | Indices) -> Indices:
        """The sums of some nodes, ascending."""
        return np.array(sorted(sum_ for node in nodes for sum_ in self.factors[int(node)]), np.int64)

    def of_nodes(self, nodes: Sequence[int] | Indices) -> "Products | None":
        """The products that are left if only some nodes and their sums are; None if none of them multiplies."""
        new = {int(old): place for place, old in enumerate(self.sums_of(nodes))}
        return products_of([[new[sum_] for sum_ in self.factors[int(node)]] for node in nodes])

    @property
    def most_factors(self) -> int:
        """The number of factors of the node that has most."""
        return max(map(len, self.factors))

    def places(self) -> Indices:
        """``[most factors, nodes]``: the sums of each node; the number of sums where it has fewer."""
        padded = [(*node, *[self.sums] * (self.most_factors - len(node))) for node in self.factors]
        return np.array(padded, np.int64).T

    def other_places(self) -> Indices:
        """``[most factors − 1, sums]``: the other factors of each sum's node; the number of sums where it has fewer."""
        found = np.full((max(1, self.most_factors - 1), self.sums), self.sums)
        for node in self.factors:
            for factor in node:
                others = [other for other in node if other != factor]
                found[: len(others), factor] = others
        return found

    def mean_points(self) -> list[tuple[float, float]]:
        """Places in [0, 1] and their weights, whose weighted sum is the mean of a product of all but one factor."""
        places, weights = np.polynomial.legendre.leggauss((self.most_factors + 1) // 2)
        return [(float(place), float(weight)) for place, weight in zip((places + 1) / 2, weights / 2, strict=True)]


def products_of(factors: Sequence[Sequence[int]]) -> Products | None:
    """The nodes of these factors; None if node i is sum i, as in a layer without products."""
    plain = all(tuple(node) == (place,) for place, node in enumerate(factors))
    return None if plain else Products(tuple(tuple(node) for node in factors))


def level_products(sums: int, products: int, arity: int) -> Products | None:
    """The nodes of a level as pykan orders them: first those that are sums, then those that multiply ``arity`` sums."""
    plain = [(place,) for place in range(sums)]
    return products_of([*plain, *(tuple(range(sums + n * arity, sums + (n + 1) * arity)) for n in range(products))])


def joined_products(layers: Sequence[tuple[Products | None, int]]) -> Products | None:
    """The nodes of several layers side by side, each given by its products and its number of sums."""
    factors: list[list[int]] = []
    start = 0
    for products, sums in layers:
        own = [(place,) for place in range(sums)] if products is None else products.factors
        factors += [[start + sum_ for sum_ in node] for node in own]
        start += sums
    return products_of(factors)


def node_flags(products: Products | None, sums: Flags) -> Flags:
    """``[nodes]``: whether one of a node's sums is flagged, for flags of sums."""
    if products is None:
        return sums
    return np.array([any(sums[sum_] for sum_ in node) for node in products.factors])


def sum_flags(products: Products | None, nodes: Flags) -> Flags:
    """``[sums]``: whether a sum's node is flagged, for flags of nodes."""
    return nodes if products is None else nodes[products.node_of]


def multiply(sums: Tensor, places: Tensor) -> Tensor:
    """The nodes ``[..., nodes]`` of sums ``[..., sums]``; ``places`` as :meth:`Products.places`."""
    return _product_at(sums, places)


def slopes(products: Products, sums: Tensor) -> Tensor:
    """The derivative of each sum's node by it, ``[rows, sums]``: the product of the other factors."""
    return _product_at(sums, torch.from_numpy(products.other_places()).to(sums.device))


def shapley_slopes(products: Products, sums: Tensor, reference: Tensor) -> Tensor:
    """The Shapley value of each factor in its product, divided by the factor's difference.

    It is the mean of the derivative along the straight way from the reference to the row, because a product is linear
    in each factor (Owen 1972). For two factors it is the mean of the other one:

        z₁z₂ − ρ₁ρ₂ = (z₁ − ρ₁)·(z₂ + ρ₂)/2 + (z₂ − ρ₂)·(z₁ + ρ₁)/2

    Args:
        products: The nodes.
        sums: ``[rows, sums]``, z.
        reference: ``[1 or rows, sums]``, ρ.

    Returns:
        ``[rows, sums]``; times sums − reference it adds up, over the factors of a node, to the node's difference.

    Source: Owen, Multilinear extensions of games, 1972, equation 9.
    """
    parts = [
        weight * slopes(products, place * sums + (1 - place) * reference) for place, weight in products.mean_points()
    ]
    return torch.stack(parts).sum(dim=0)


def sum_factors(products: Products, values: Tensor) -> Tensor:
    """For each node the sum of its factors' values: ``[rows, nodes, …]`` of ``[rows, sums, …]``."""
    node_of = torch.from_numpy(products.node_of).to(values.device)
    return values.new_zeros(len(values), products.nodes, *values.shape[2:]).index_add(1, node_of, values)


def _product_at(sums: Tensor, places: Tensor) -> Tensor:
    """Products of the sums at ``places`` [factors, …]; the place behind the last sum stands for 1."""
    padded = torch.cat([sums, torch.ones_like(sums[..., :1])], dim=-1)
    result = padded[..., places[0]]
    for place in places[1:]:
        result = result * padded[..., place]
    return result
