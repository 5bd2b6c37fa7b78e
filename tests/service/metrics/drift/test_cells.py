"""Cells of numbers and words: each row lies in one, where NumPy says, and training rows give the expected shares."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_wine

from service.metrics.drift.cells import LEAST_SHARE, Counted, Numbers, distinct, number_cells, pooled_cells, word_cells

Values = NDArray[np.floating[Any]]
COLUMNS = [*load_diabetes(scaled=False).data.T, *load_wine().data.T]


def column(values: Values, *, rows: int | None = None, has_gaps: bool = False) -> Counted:
    """The cells of a column with these training rows."""
    counts, edges = np.histogram(values, 20)
    return number_cells("c", Numbers(0, edges.tolist(), counts.tolist(), rows or len(values), has_gaps))


def counted(cells: Counted, values: Sequence[float] | Values) -> dict[str, int]:
    """Rows by label, without the empty cells."""
    found = cells.count(np.array(values, np.float32).reshape(-1, 1))
    assert found.sum() == len(values)
    return {label: count for label, count in zip(cells.labels, found.tolist(), strict=True) if count}


@pytest.mark.parametrize("values", COLUMNS)
def test_training_rows_lie_in_cells_as_expected(values: Values) -> None:
    """As float32, as clients send them, none lies outside or in an empty bin; shares are exact; cells are about ten."""
    cells = column(values)
    found = counted(cells, values)
    assert not {"below", "above", "empty", "missing"} & set(found)
    assert cells.expected is not None
    expected = dict(zip(cells.labels, cells.expected.tolist(), strict=True))
    assert len(found) == len([label for label in cells.labels if " to " in label]) <= 11
    for label, count in found.items():
        assert count / len(values) == pytest.approx(expected[label], abs=2 / len(values))
        assert count >= 15
    assert expected["below"] == expected["above"] == max(LEAST_SHARE, 1 / (len(values) + 1))


@pytest.mark.parametrize("seed", range(3))
def test_each_row_lies_where_numpy_says(seed: int) -> None:
    """In float64 from the edges of the bins, for rows inside, outside, in gaps of the histogram and NaN."""
    random = np.random.default_rng(seed)
    values = np.concatenate([random.uniform(0, 1, 400), random.uniform(3, 4, 600)])
    counts, edges = np.histogram(values, 20)
    rows = random.uniform(-1, 5, 5000).astype(np.float32)
    rows[:100] = np.nan
    found = counted(column(values, rows=1100, has_gaps=True), rows)
    numbers = rows[100:].astype(np.float64)
    assert found["missing"] == 100
    assert found["below"] == (numbers < edges[0]).sum()
    assert found["above"] == (numbers > edges[-1]).sum()
    assert found["empty"] == np.histogram(numbers, edges)[0][counts == 0].sum()


def test_the_shares_of_what_training_never_saw() -> None:
    """1 / (n + 1) lies below the smallest of n rows, by simulation; so does the share in empty bins, by Good's rule."""
    random = np.random.default_rng(0)
    below, empty, told_below, told_empty = [], [], [], []
    for _ in range(200):
        cells = column(random.normal(size=200))
        rows = random.normal(size=(1000, 1)).astype(np.float32)
        found = dict(zip(cells.labels, cells.count(rows) / 1000, strict=True))
        assert cells.expected is not None
        told = dict(zip(cells.labels, cells.expected, strict=True))
        below.append(found["below"])
        told_below.append(told["below"])
        empty.append(found.get("empty", 0.0))
        told_empty.append(told.get("empty", 0.0))
    assert np.mean(below) == pytest.approx(np.mean(told_below), rel=0.15)
    assert np.mean(empty) < 2 * np.mean(told_empty)


def test_a_gap_has_its_share() -> None:
    """Of 1,000 training rows 100 had none."""
    cells = column(np.linspace(0, 1, 900), rows=1000, has_gaps=True)
    assert cells.expected is not None
    assert dict(zip(cells.labels, cells.expected, strict=True))["missing"] == pytest.approx(0.1)


def test_a_column_of_one_value_and_a_histogram_of_one_bin() -> None:
    """One cell; every other value lies below or above it."""
    constant = number_cells("c", Numbers(0, [2.5, 2.5], [50], 50, has_gaps=False))
    assert constant.labels == ("2.5 to 2.5", "below", "above")
    assert counted(constant, [2.5, 2.5, 2.4, 9]) == {"2.5 to 2.5": 2, "below": 1, "above": 1}
    one_bin = number_cells("c", Numbers(0, [0, 1], [50], 50, has_gaps=False))
    assert counted(one_bin, [0, 0.5, 1, 1.01]) == {"0 to 1": 3, "above": 1}


def test_bins_too_narrow_for_float32_are_harmless() -> None:
    """Edges that float32 cannot tell apart give a cell that no row reaches, and no row is lost."""
    cells = number_cells("c", Numbers(0, [1, 1 + 1e-12, 2], [40, 40], 80, has_gaps=False))
    assert sum(counted(cells, [1, 1.5, 2]).values()) == 3


def test_words_are_cells_and_rare_ones_are_other() -> None:
    """Two words are frequent; a rare one and a row without a word are other; numbers need not be exactly 0 and 1."""
    cells = word_cells("colour", 1, ["red", "rare", "blue"], [600, 5, 395], 1000)
    assert cells.labels == ("red", "blue", "other")
    assert cells.expected == pytest.approx([0.6, 0.395, 0.005])
    rows = np.array(
        [[9, 1, 0, 0], [9, 1, 0, 0], [9, 0, 0, 0.9], [9, 0, 1, 0], [9, 0, 0, 0], [9, np.nan, 0, 0]], np.float32
    )
    assert cells.count(rows).tolist() == [2, 1, 3]


def test_at_most_fifteen_words_have_a_cell() -> None:
    """The most frequent ones, whatever their order."""
    words = [f"w{place}" for place in range(40)]
    cells = word_cells("c", 0, words, list(range(100, 140)), sum(range(100, 140)))
    assert cells.labels == (*[f"w{place}" for place in range(39, 24, -1)], "other")


def test_labels_are_unlike() -> None:
    """Words that are called as a special cell, or begin alike, or are empty, have labels of their own."""
    cells = word_cells("c", 0, ["other", "", "below", "x" * 200, "x" * 300], [40] * 5, 200)
    assert len(set(cells.labels)) == 6
    assert cells.labels[:3] == ("word other", "missing", "word below")
    assert max(map(len, cells.labels)) < 130
    assert distinct(["a", "a", "a (number 2)", "a"]) == (
        "a",
        "a (number 2)",
        "a (number 2) (number 3)",
        "a (number 4)",
    )


def test_the_pool_counts_numbers_against_their_own_range() -> None:
    """Of two of three features; the third is another column's."""
    low, high = np.array([0, np.nan, -1], np.float32), np.array([1, np.nan, 2], np.float32)
    rows = np.array([[0, 50, 2], [2, np.nan, -2], [np.nan, 0, -5]], np.float32)
    cells = pooled_cells("other", low, high)
    assert dict(zip(cells.labels, cells.count(rows).tolist(), strict=True)) == {
        "inside": 2,
        "below": 2,
        "above": 1,
        "missing": 1,
    }
