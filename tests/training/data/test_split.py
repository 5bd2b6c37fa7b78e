"""Splits: nothing lost, nothing twice, nothing empty."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.split import Split, group_split, random_split, shortage, stratified_split, time_split
from training.errors import DataError
from training.recipe.sections import SplitSection


def all_rows(split: Split) -> list[int]:
    """The row numbers of all parts, in order."""
    return sorted(np.concatenate([split.train, split.validation, split.test]).tolist())


@given(rows=st.integers(10, 300), test=st.floats(0.01, 0.6), validation=st.floats(0.01, 0.39), seed=st.integers(0, 9))
def test_random_parts_hold_every_row_once_or_say_why_not(rows: int, test: float, validation: float, seed: int) -> None:
    """Parts are disjoint, complete, of the sizes asked for, and the same for the same seed."""
    section = SplitSection(test=test, validation=validation, seed=seed)
    sizes = (round(rows * test), round(rows * validation))
    if min(*sizes, rows - sum(sizes)) < 1:
        with pytest.raises(DataError, match="leave no row"):
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


@pytest.mark.parametrize(("test", "validation"), [(0.05, 0.9), (0.9, 0.05), (0.45, 0.5)])
def test_a_small_class_is_in_every_part_whatever_the_shares(test: float, validation: float) -> None:
    """Where a part asks for nearly all rows, it leaves one of each class to the other two."""
    codes = np.repeat(np.arange(6), [3, 4, 5, 7, 10, 40])
    section = SplitSection(kind="stratified", test=test, validation=validation)
    split = stratified_split(section, codes, list("abcdef"))
    assert all_rows(split) == list(range(len(codes)))
    assert all(set(codes[part]) == set(codes) for part in (split.train, split.validation, split.test))


def split_by_chance(kind: str, seed: int = 0) -> Split:
    """120 rows, of which each kind of random split takes 65, 15 and 20 %; three classes, forty groups."""
    if kind == "random":
        return random_split(SplitSection(seed=seed), 120)
    if kind == "stratified":
        return stratified_split(SplitSection(kind="stratified", seed=seed), np.arange(120) % 3, ["a", "b", "c"])
    groups = (np.arange(120) % 40).astype(str).astype(object)
    return group_split(SplitSection(kind="group", column="who", seed=seed), groups)


@pytest.mark.parametrize("kind", ["random", "stratified", "group"])
def test_every_seed_gives_another_split_in_file_order(kind: str) -> None:
    """The seed alone decides which rows a part holds; within a part rows stand as in the file."""
    splits = [split_by_chance(kind, seed) for seed in range(5)]
    assert len({split.fingerprint() for split in splits}) == 5
    assert split_by_chance(kind, 3).fingerprint() == splits[3].fingerprint()
    for split in splits:
        assert all((np.diff(part) > 0).all() for part in (split.train, split.validation, split.test))


def test_a_fingerprint_tells_every_part_and_border() -> None:
    """The same rows cut elsewhere, or another row in any one part, give another fingerprint."""
    cuts = [([0, 1], [2], [3]), ([0], [1, 2], [3]), ([0], [1], [2, 3]), ([4, 1], [2], [3]), ([0, 1], [4], [3])]
    splits = [Split(*(np.array(part, dtype=np.int64) for part in parts)) for parts in [*cuts, ([0, 1], [2], [4])]]
    assert len({split.fingerprint() for split in splits}) == len(splits)


def test_a_class_without_rows_is_left_out_of_a_stratified_split() -> None:
    """A continued model knows classes that new rows may not hold."""
    codes = np.array([0] * 10 + [2] * 10)
    split = stratified_split(SplitSection(kind="stratified"), codes, ["a", "absent", "c"])
    assert all_rows(split) == list(range(20))
    assert all(set(codes[part]) == {0, 2} for part in (split.train, split.validation, split.test))


@pytest.mark.parametrize(
    ("rows", "validation", "message"), [(9, 0.15, "9 rows to train on"), (30, 0.01, "no row for the validation")]
)
def test_a_stratified_split_has_the_limits_of_a_random_one(rows: int, validation: float, message: str) -> None:
    """The table's size and the shares are checked before any class is."""
    section = SplitSection(kind="stratified", validation=validation)
    with pytest.raises(DataError, match=message):
        stratified_split(section, np.arange(rows) % 3, ["a", "b", "c"])


def test_a_class_too_small_to_split_is_named() -> None:
    """Two rows cannot be in three parts."""
    codes = np.array([0] * 20 + [1] * 2)
    with pytest.raises(DataError, match='"rare" has 2 rows'):
        stratified_split(SplitSection(kind="stratified"), codes, ["common", "rare"])


def test_time_goes_from_training_to_test() -> None:
    """No training row is later than a test row."""
    times = np.random.default_rng(0).permutation(100).astype(np.float64)
    split = time_split(SplitSection(kind="time", column="t"), times)
    assert all_rows(split) == list(range(100))
    assert times[split.train].max() < times[split.validation].min()
    assert times[split.validation].max() < times[split.test].min()


def by_time(test: float = 0.2, validation: float = 0.15) -> SplitSection:
    """A time split with these shares."""
    return SplitSection(kind="time", column="day", test=test, validation=validation)


TIMES = st.one_of(
    st.lists(st.integers(0, 5), min_size=10, max_size=80),
    st.lists(st.integers(0, 60), min_size=10, max_size=80),
    st.lists(st.floats(allow_nan=False), min_size=10, max_size=40),
)
SHARES = st.tuples(st.floats(0.05, 0.6), st.floats(0.05, 0.35))


@given(times=TIMES, shares=SHARES)
def test_no_time_is_in_two_parts(times: list[float], shares: tuple[float, float]) -> None:
    """Every row is in one part, every time too; parts follow one another in time; the same again is the same split."""
    cells, section = np.array(times, dtype=np.float64), by_time(*shares)
    if min(wanted := _wanted(section, len(cells))) < 1 or len(set(times)) < 3:
        with pytest.raises(DataError):
            time_split(section, cells)
        return
    split = time_split(section, cells)
    assert all_rows(split) == list(range(len(cells)))
    assert cells[split.train].max() < cells[split.validation].min()
    assert cells[split.validation].max() < cells[split.test].min()
    for rows in (split.train, split.validation, split.test):
        assert (np.lexsort((rows, cells[rows])) == np.arange(len(rows))).all()
    assert time_split(section, cells).fingerprint() == split.fingerprint()
    # No other two places where the time changes are nearer to the shares that were asked for.
    ordered = np.sort(cells)
    places = [place for place in range(1, len(cells)) if ordered[place] != ordered[place - 1]]
    cuts = (wanted[0], wanted[0] + wanted[1])
    best = min(abs(a - cuts[0]) + abs(b - cuts[1]) for a, b in itertools.combinations(places, 2))
    got = (len(split.train), len(split.train) + len(split.validation))
    assert abs(got[0] - cuts[0]) + abs(got[1] - cuts[1]) == best


@given(times=TIMES, seed=st.integers(0, 9))
def test_the_order_of_the_rows_moves_no_time(times: list[float], seed: int) -> None:
    """Shuffling the table's rows changes no time's part."""
    cells = np.array(times, dtype=np.float64)
    if len(set(times)) < 3:
        return
    shuffled = np.random.default_rng(seed).permutation(cells)
    before, after = time_split(by_time(), cells), time_split(by_time(), shuffled)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(np.sort(cells[getattr(before, part)]), np.sort(shuffled[getattr(after, part)]))


@given(times=TIMES, shares=SHARES)
def test_where_the_time_changes_at_the_shares_rows_are_cut_by_count(
    times: list[float], shares: tuple[float, float]
) -> None:
    """If the time changes exactly at the shares, the split equals that of 9536bcd, which cut by the number of rows."""
    cells, section = np.array(times, dtype=np.float64), by_time(*shares)
    train, validation, test = _wanted(section, len(cells))
    if min(train, validation, test) < 1:
        return
    order = np.argsort(cells, kind="stable")
    parts = np.split(order, [train, train + validation])
    if any(cells[before[-1]] == cells[after[0]] for before, after in itertools.pairwise(parts)):
        return
    assert time_split(section, cells).fingerprint() == Split(*parts).fingerprint()


@pytest.mark.parametrize(("days", "told"), [(1, "1 different time in"), (2, "2 different times in")])
def test_too_few_times_are_told_with_column_and_remedy(days: int, told: str) -> None:
    """Three parts need three times: which column, how many it holds, what to do."""
    with pytest.raises(DataError, match=rf'"day" holds {told} 20 rows;.* 3.*\[split\] kind = "random"'):
        time_split(by_time(), np.arange(20.0) % days)


def test_a_part_with_less_than_half_of_its_rows_is_told() -> None:
    """If one day has nearly all rows, no time is in two parts, and a warning tells the sizes."""
    times = np.concatenate([np.arange(9.0), np.full(191, 9.0)])
    split = time_split(by_time(), times)
    assert [len(split.train), len(split.validation), len(split.test)] == [8, 1, 191]
    assert shortage(by_time(), split) == (
        'column "day": 8 rows train, 1 validate and 191 test, where 130, 30 and 40 were wanted: rows of one time stay '
        "together"
    )
    assert shortage(by_time(), time_split(by_time(), np.arange(200.0))) == ""


@pytest.mark.parametrize(("sizes", "is_short"), [((145, 15, 40), False), ((146, 14, 40), True), ((65, 65, 70), False)])
def test_half_of_the_wanted_rows_is_no_shortage(sizes: tuple[int, int, int], is_short: bool) -> None:
    """130, 30 and 40 are wanted: a part with half of that is not told, a part with one row less is."""
    parts = np.split(np.arange(200), [sizes[0], sizes[0] + sizes[1]])
    assert (shortage(by_time(), Split(*parts)) != "") is is_short


def _wanted(section: SplitSection, rows: int) -> tuple[int, int, int]:
    test, validation = round(rows * section.test), round(rows * section.validation)
    return rows - test - validation, validation, test


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
    shuffled = np.random.default_rng(0).permutation(cells)
    again = group_split(section, shuffled)
    assert [set(shuffled[part]) for part in (again.train, again.validation, again.test)] == parts


@pytest.mark.parametrize("sizes", [(40, 30, 30), (25, 25, 25, 25), (8, 1, 1), (1, 1, 98), (50, 48, 1, 1)])
def test_few_groups_fill_every_part(sizes: tuple[int, ...]) -> None:
    """Also where the training rows lack more than a part that is still empty."""
    groups = np.repeat(np.arange(len(sizes)), sizes).astype(str).astype(object)
    split = group_split(SplitSection(kind="group", column="who"), groups)
    assert all(len(set(groups[part])) >= 1 for part in (split.train, split.validation, split.test))
    assert all_rows(split) == list(range(len(groups)))


def test_many_small_groups_come_near_to_the_fractions() -> None:
    """With 200 groups of five, the parts are as large as asked for."""
    split = group_split(
        SplitSection(kind="group", column="who"), np.repeat(np.arange(200), 5).astype(str).astype(object)
    )
    assert abs(len(split.test) - 200) <= 5
    assert abs(len(split.validation) - 150) <= 5


def test_a_large_group_takes_its_place_before_small_ones() -> None:
    """A group with half of 100 rows and 50 rows that are a group each: the parts are exactly as large as asked for."""
    groups = np.array(["large"] * 50 + [str(number) for number in range(50)], dtype=object)
    split = group_split(SplitSection(kind="group", column="who"), groups)
    assert (len(split.train), len(split.validation), len(split.test)) == (65, 15, 20)


def test_too_few_rows_are_refused() -> None:
    """Nine rows are not a table to learn from."""
    with pytest.raises(DataError, match="9 rows"):
        random_split(SplitSection(), 9)


def test_validation_rows_that_train_too_come_last() -> None:
    """The other parts stay as they are."""
    split = Split(np.array([4, 1]), np.array([0, 3]), np.array([2]))
    both = split.with_validation()
    assert both.train.tolist() == [4, 1, 0, 3]
    assert both.validation.tolist() == [0, 3]
    assert both.test.tolist() == [2]


def test_the_test_rows_may_train_too() -> None:
    """They come last; the validation rows stay apart."""
    split = random_split(SplitSection(seed=1), 40)
    more = split.with_test()
    assert more.train.tolist() == [*split.train, *split.test]
    assert more.validation.tolist() == split.validation.tolist()
    assert len(more.test) == 0
