"""Splits: nothing lost, nothing twice, nothing empty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import DataError
from training.sections import SplitSection
from training.split import Split, group_split, random_split, stratified_split, time_split


def all_rows(split: Split) -> list[int]:
    """The row numbers of all parts, in order."""
    return sorted(np.concatenate([split.train, split.validation, split.test]).tolist())


@given(rows=st.integers(10, 300), test=st.floats(0.01, 0.6), validation=st.floats(0.01, 0.39), seed=st.integers(0, 9))
def test_random_parts_hold_every_row_once_or_say_why_not(rows: int, test: float, validation: float, seed: int) -> None:
    """Parts are disjoint, complete, of the sizes asked for, and the same for the same seed."""
    section = SplitSection(test=test, validation=validation, seed=seed)
    sizes = (round(rows * test), round(rows * validation))
    if min(*sizes, rows - sum(sizes)) < 1:
        with pytest.raises(DataError, match="leave no row for the"):
            random_split(section, rows)
        return
    split = random_split(section, rows)
    assert all_rows(split) == list(range(rows))
    assert (len(split.test), len(split.validation)) == sizes
    np.testing.assert_array_equal(split.test, random_split(section, rows).test)


@given(sizes=st.lists(st.integers(3, 60), min_size=2, max_size=6), test=st.floats(0.1, 0.5))
def test_stratified_parts_hold_every_class(sizes: list[int], test: float) -> None:
    """Each class is in each part, near to its share."""
    codes = np.repeat(np.arange(len(sizes)), sizes)
    if len(codes) < 10:
        return
    split = stratified_split(
        SplitSection(kind="stratified", test=test, validation=0.15), codes, [str(code) for code in range(len(sizes))]
    )
    assert all_rows(split) == list(range(len(codes)))
    for part in (split.train, split.validation, split.test):
        assert set(codes[part]) == set(codes)
    for code, size in enumerate(sizes):
        assert abs((codes[split.test] == code).sum() - size * test) <= 1


def test_a_class_too_small_to_split_is_named() -> None:
    """Two rows cannot be in three parts."""
    codes = np.array([0] * 20 + [1] * 2)
    with pytest.raises(DataError, match='class "rare" has 2 rows; a stratified split needs 3'):
        stratified_split(SplitSection(kind="stratified"), codes, ["common", "rare"])


def test_time_goes_from_training_to_test() -> None:
    """No row that trains is later than one that judges."""
    times = np.random.default_rng(0).permutation(100).astype(np.float64)
    split = time_split(SplitSection(kind="time", column="t"), times)
    assert all_rows(split) == list(range(100))
    assert times[split.train].max() < times[split.validation].min()
    assert times[split.validation].max() < times[split.test].min()


@given(groups=st.lists(st.sampled_from("abcdefgh"), min_size=10, max_size=200))
def test_groups_stay_together(groups: list[str]) -> None:
    """A group is in one part only, and no part is empty; fewer than three groups are refused."""
    section = SplitSection(kind="group", column="who")
    cells = np.array(groups, dtype=object)
    if len(set(groups)) < 3:
        with pytest.raises(DataError, match='column "who" holds'):
            group_split(section, cells)
        return
    split = group_split(section, cells)
    assert all_rows(split) == list(range(len(groups)))
    parts = [set(cells[part]) for part in (split.train, split.validation, split.test)]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_many_small_groups_come_near_to_the_fractions() -> None:
    """With 200 groups of five, the parts are as large as asked for."""
    split = group_split(
        SplitSection(kind="group", column="who"), np.repeat(np.arange(200), 5).astype(str).astype(object)
    )
    assert abs(len(split.test) - 200) <= 5
    assert abs(len(split.validation) - 150) <= 5


def test_too_few_rows_are_refused() -> None:
    """Nine rows are not a table to learn from."""
    with pytest.raises(DataError, match="9 rows to learn from; wanted at least 10"):
        random_split(SplitSection(), 9)
