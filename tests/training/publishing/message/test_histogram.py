"""Histograms of the manifest: every row in one bin, and no bin crowded that could be cut."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from training.publishing.message.histogram import histogram, histogram_of_answers


def test_even_bins_stay_where_rows_are_spread_evenly() -> None:
    """A uniform column has 20 bins of one width, as numpy makes them."""
    values = np.linspace(-1, 3, 4001)
    found = histogram(values)
    counts, edges = np.histogram(values, bins=20)
    np.testing.assert_array_equal(found.edges, edges)
    np.testing.assert_array_equal(found.counts, counts)


@pytest.mark.parametrize("seed", range(5))
def test_a_column_with_far_outliers_is_cut_at_its_deciles(seed: int) -> None:
    """No bin holds more than a quarter of the rows, the even edges stay, no added bin is empty, no row is lost."""
    values = np.exp(2 * np.random.default_rng(seed).normal(size=3000))
    counts, edges = np.histogram(values, bins=20)
    assert counts.max() > 0.9 * len(values)
    found = histogram(values)
    assert max(found.counts) < 0.25 * len(values)
    assert sum(found.counts) == len(values)
    assert set(edges) <= set(found.edges)
    assert sum(count == 0 for count in found.counts) == sum(count == 0 for count in counts)
    np.testing.assert_array_equal(found.counts, np.histogram(values, bins=np.array(found.edges))[0])


def test_columns_of_a_real_table_lose_no_row() -> None:
    """Every row of each column of scikit-learn's diabetes is counted once, and edges ascend."""
    for column in load_diabetes(scaled=False).data.T:
        found = histogram(column)
        assert sum(found.counts) == len(column)
        assert np.all(np.diff(found.edges) > 0)
        assert len(found.edges) <= 30


def test_a_value_that_most_rows_have_is_one_bin() -> None:
    """Nothing can be cut inside one value: the bins stay even, and none is added."""
    values = np.concatenate([np.zeros(900), np.linspace(0.1, 1, 100)])
    found = histogram(values)
    np.testing.assert_array_equal(found.counts, np.histogram(values, bins=20)[0])


def test_wide_tables_keep_even_bins() -> None:
    """A manifest has a bounded size: with more than 1,000 features nothing is cut."""
    assert len(histogram(np.exp(np.arange(100.0)), features=1001).counts) == 20


def test_answers_alike_or_not_finite_have_no_histogram() -> None:
    """Then nothing can drift; finite answers are counted without the others."""
    assert not histogram_of_answers(np.full(9, 2.5), is_probability=False).edges
    assert not histogram_of_answers(np.full(9, np.nan), is_probability=True).edges
    assert sum(histogram_of_answers(np.array([1.0, 2.0, np.nan, 3.0]), is_probability=False).counts) == 3


def test_probabilities_have_even_bins_from_0_to_1() -> None:
    """Whatever the classifier's confidence."""
    found = histogram_of_answers(np.array([1e-9, 1e-6, 0.2, 1.0]), is_probability=True)
    np.testing.assert_allclose(found.edges, np.linspace(0, 1, 21))
    assert (found.counts[0], found.counts[-1]) == (2, 1)
