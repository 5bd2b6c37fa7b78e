"""Sums of products by matrix products against the products as columns of numbers."""

import numpy as np
import pytest
import torch

from training.additive.pairs import products
from training.additive.pairs.products import sum_products


@pytest.mark.parametrize("block", [2**23, 1])
def test_the_sums_are_those_of_dense_products(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Of all pairs but one, two outputs and three folds; in one block, and column by column."""
    monkeypatch.setattr(products, "_BLOCK_NUMBERS", block)
    generator = np.random.default_rng(0)
    values = [torch.from_numpy(generator.normal(size=(60, count))) for count in (3, 1, 4, 2)]
    values[2][:, 1] = 0.0
    left = [
        (torch.from_numpy(generator.normal(size=60)), torch.from_numpy(generator.uniform(size=60))) for _ in range(2)
    ]
    pairs, sizes = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)], [10, 30, 20]
    found = {each.place: each for each in sum_products(values, pairs, left, sizes)}
    assert sorted(found) == list(range(len(pairs)))
    for place, (one, two) in enumerate(pairs):
        dense = (values[one][:, :, None] * values[two][:, None, :]).flatten(1)
        dense = dense / dense.square().sum(dim=0).sqrt().clamp(min=1e-300)
        for output, (residuals, weights) in enumerate(left):
            for fold, some in enumerate((slice(0, 10), slice(10, 40), slice(40, 60))):
                weighted = dense[some] * weights[some, None]
                torch.testing.assert_close(found[place].grams[output, fold], weighted.T @ dense[some])
                torch.testing.assert_close(found[place].moments[output, fold], weighted.T @ residuals[some])
