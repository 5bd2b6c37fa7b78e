"""Nodes that multiply: the arithmetic of products, by NumPy, finite sums over all orders, and torch."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kan_model.network.products import (
    Products,
    joined_products,
    level_products,
    multiply,
    node_flags,
    products_of,
    shapley_slopes,
    slopes,
    sum_factors,
    sum_flags,
)

# A node of two factors that are no neighbours, one of one, one of four.
PRODUCTS = Products(((0, 3), (5,), (1, 2, 4, 6)))


def _sums(seed: int, count: int = 20) -> Tensor:
    return torch.randn(count, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_nodes_are_products_of_their_sums() -> None:
    """As NumPy multiplies them; a factor of 0 gives 0, also in the gradient's way."""
    sums = _sums(0)
    sums[0, 2] = 0.0
    x = sums.numpy()
    wanted = np.stack([x[:, 0] * x[:, 3], x[:, 5], x[:, 1] * x[:, 2] * x[:, 4] * x[:, 6]], axis=1)
    np.testing.assert_allclose(multiply(sums, torch.from_numpy(PRODUCTS.places())), wanted, rtol=1e-15)
    assert (PRODUCTS.sums, PRODUCTS.nodes, PRODUCTS.most_factors) == (7, 3, 4)


def test_slopes_are_derivatives() -> None:
    """Those of torch, also where a factor is 0."""
    sums = _sums(1)
    sums[0, 2] = sums[1, 0] = 0.0
    leaf = sums.clone().requires_grad_()
    multiply(leaf, torch.from_numpy(PRODUCTS.places())).sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    torch.testing.assert_close(slopes(PRODUCTS, sums), leaf.grad, rtol=1e-14, atol=0)


@pytest.mark.parametrize("factors", [1, 2, 3, 4, 5, 8])
def test_shares_of_a_product_are_shapley_values(factors: int) -> None:
    """The mean, over all orders, of what a factor changes when it goes from the reference to the row."""
    random = np.random.default_rng(factors)
    z, rho = random.normal(size=(2, factors))
    found = np.zeros(factors)
    # Of 8 factors the orders are too many; the sets before a factor, with their weights, are the same sum.
    for factor in range(factors):
        others = [other for other in range(factors) if other != factor]
        for size in range(factors):
            weight = math.factorial(size) * math.factorial(factors - 1 - size) / math.factorial(factors)
            for before in itertools.combinations(others, size):
                rest = np.prod([z[other] if other in before else rho[other] for other in others])
                found[factor] += weight * rest * (z[factor] - rho[factor])
    products = Products((tuple(range(factors)),))
    got = shapley_slopes(products, torch.from_numpy(z[None]), torch.from_numpy(rho[None]))[0].numpy() * (z - rho)
    np.testing.assert_allclose(got, found, rtol=1e-12, atol=1e-14)
    assert got.sum() == pytest.approx(np.prod(z) - np.prod(rho), rel=1e-12)


def test_shares_add_up_to_each_node() -> None:
    """Times their differences the slopes add up to the nodes' differences, for one reference row or one a row."""
    z = _sums(2)
    places = torch.from_numpy(PRODUCTS.places())
    for rho in (_sums(3, 1), _sums(4)):
        shares = sum_factors(PRODUCTS, shapley_slopes(PRODUCTS, z, rho) * (z - rho))
        torch.testing.assert_close(shares, multiply(z, places) - multiply(rho, places), rtol=1e-12, atol=1e-12)


def test_levels_are_ordered_as_pykan_orders_them() -> None:
    """Nodes that add come first, and the factors of a product are neighbours."""
    found = level_products(2, 2, 3)
    assert found is not None
    assert found.factors == ((0,), (1,), (2, 3, 4), (5, 6, 7))
    assert level_products(3, 0, 2) is None
    assert products_of([(0,), (1,)]) is None
    assert products_of([(1,), (0,)]) == Products(((1,), (0,)))


def test_some_nodes_and_layers_side_by_side() -> None:
    """Nodes that are left keep their factors under new numbers; layers side by side keep theirs, shifted."""
    assert PRODUCTS.sums_of([0, 1]).tolist() == [0, 3, 5]
    assert PRODUCTS.of_nodes([0, 1]) == Products(((0, 1), (2,)))
    assert PRODUCTS.of_nodes([1]) is None
    assert joined_products([(None, 1), (Products(((0, 1),)), 2)]) == Products(((0,), (1, 2)))
    assert joined_products([(None, 1), (None, 2)]) is None


def test_flags_go_from_sums_to_nodes_and_back() -> None:
    """A node is flagged if one of its sums is; all sums of a flagged node are."""
    flags = np.zeros(7, bool)
    flags[4] = True
    assert node_flags(PRODUCTS, flags).tolist() == [False, False, True]
    assert sum_flags(PRODUCTS, np.array([True, False, False])).nonzero()[0].tolist() == [0, 3]
    assert node_flags(None, flags) is flags
    assert sum_flags(None, flags) is flags


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ((), "wanted 1 to 8 for each"),
        (((0,), ()), "wanted 1 to 8 for each"),
        ((tuple(range(9)),), "wanted 1 to 8 for each"),
        (((0, 0),), "wanted each of 2 sums once"),
        (((0, 2),), "wanted each of 2 sums once"),
    ],
)
def test_what_makes_no_nodes_is_refused(factors: tuple[tuple[int, ...], ...], message: str) -> None:
    """A sum that is left out or used twice, a node without factors or with too many."""
    with pytest.raises(ValueError, match=message):
        Products(factors)
