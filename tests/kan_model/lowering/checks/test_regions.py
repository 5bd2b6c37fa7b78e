"""Rows of all kinds lie where their region says."""

from collections.abc import Callable

import numpy as np
import torch

from kan_model import KAN
from kan_model.lowering.checks.regions import ENDS, FAR, INSIDE, KNOTS, OUTSIDE, rows_by_region
from kan_model.network.transform import InputTransform

INPUTS = InputTransform(
    np.array([1, 20], np.float32), np.array([0.5, 0.125], np.float32), np.array([1, np.nan], np.float32)
)
TABLE = np.array([[1, 20], [np.nan, 22], [3, np.nan]], np.float32)


def test_each_region_is_what_its_name_says(make_kan: Callable[..., KAN]) -> None:
    """In raw units: scaled, rows lie in the domain, on its knots or ends, within three domains or far outside."""
    kan = make_kan((2, 1))
    layer = kan.layers[0]
    regions = rows_by_region(kan, INPUTS, None, 50)
    low, high = layer.domain.numpy().T
    scaled = {name: INPUTS(torch.from_numpy(rows).double()).numpy() for name, rows in regions.items()}
    assert all(rows.shape == (50, 2) for rows in scaled.values())
    assert ((scaled[INSIDE] > low - 1e-5) & (scaled[INSIDE] < high + 1e-5)).all()
    middle, half = (low + high) / 2, (high - low) / 2
    assert (np.abs(scaled[OUTSIDE] - middle) < 3 * half + 1e-5).all()
    assert (np.abs(scaled[OUTSIDE] - middle) > half).any()
    for place, knots in enumerate(layer.all_knots()[:, layer.degree : -layer.degree].numpy()):
        assert np.abs(scaled[KNOTS][:, place, None] - knots).min(axis=1).max() < 1e-5
        assert np.abs(scaled[ENDS][:, place, None] - knots[[0, -1]]).min(axis=1).max() < 1e-5
    # One feature of each row, of any of them, from 10 to a million.
    far = np.abs(regions[FAR] - regions[INSIDE]) > 0
    assert (far.sum(axis=1) == 1).all()
    assert ((np.abs(regions[FAR][far]) >= 9.99) & (np.abs(regions[FAR][far]) <= 1.001e6)).all()
    assert (np.isnan(regions["missing values"]).sum(axis=1) == 1).all()


def test_the_table_is_looked_at_as_it_is_and_imputed(make_kan: Callable[..., KAN]) -> None:
    """Each row at most once; a column that nothing is imputed in stays missing."""
    regions = rows_by_region(make_kan((2, 1)), INPUTS, TABLE, 50)
    np.testing.assert_array_equal(regions["training rows as they are"], TABLE)
    np.testing.assert_array_equal(regions["training rows"], [[1, 20], [1, 22], [3, np.nan]])


def test_the_same_network_gives_the_same_rows(make_kan: Callable[..., KAN]) -> None:
    """The same network gives the same rows, so that graphs can be compared."""
    first, second = (rows_by_region(make_kan((2, 1)), INPUTS, TABLE, 20) for _ in "ab")
    for name, rows in first.items():
        np.testing.assert_array_equal(rows, second[name])
