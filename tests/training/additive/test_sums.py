"""Weights on the scale of an effective number of rows, against the variance of a weighted mean."""

import numpy as np
import pytest
import torch

from training.additive.sums import scale_weights


def test_a_weighted_mean_varies_as_that_of_the_effective_rows() -> None:
    """σ²·Σw²/(Σw)² is the variance of a weighted mean; on this scale it is σ²/Σw, as of Σw rows of weight 1."""
    weights = np.random.default_rng(0).lognormal(sigma=2, size=100)
    scaled = scale_weights(torch.from_numpy(weights)).numpy()
    assert 1 / scaled.sum() == pytest.approx((weights**2).sum() / weights.sum() ** 2)
    assert scaled / scaled.sum() == pytest.approx(weights / weights.sum())


def test_rows_of_weight_0_count_nothing_and_one_heavy_row_as_two() -> None:
    """60 rows of weight 5 beside others of weight 0 are 60 rows; one row alone has a finite score of its λs."""
    several = scale_weights(torch.tensor([5.0] * 60 + [0.0] * 600))
    assert several.tolist() == pytest.approx([1.0] * 60 + [0.0] * 600)
    assert float(scale_weights(torch.tensor([1e9, 1.0, 0.0])).sum()) == pytest.approx(2.0)
