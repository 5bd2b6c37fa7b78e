"""Split the rows into training, validation and test rows."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.data.column import times, words
from training.data.table import Cells, Table
from training.errors import DataError, quoted
from training.recipe.sections import SplitSection

SMALLEST_TABLE_ROWS = 10
SMALLEST_CLASS_ROWS = 3

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, int64, disjoint, together all rows; in file order, for `time` in time order."""

    train: RowNumbers
    validation: RowNumbers
    test: RowNumbers

    def fingerprint(self) -> str:
        """sha256 over the row numbers of each part, in their order."""
        digest = hashlib.sha256()
        for rows in _as_tuple(self):
            digest.update(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes())
        return digest.hexdigest()

    def joined(self) -> "Split":
        """All rows train, in the order of the parts; the other parts are empty."""
        none = np.empty(0, dtype=np.int64)
        return Split(np.concatenate(_as_tuple(self)), none, none)

    def with_test(self) -> "Split":
        """The rows of the test part train too, and the test part is empty; they come last."""
        return replace(self, train=np.concatenate([self.train, self.test]), test=self.test[:0])

    def with_validation(self) -> "Split":
        """The rows of the validation part train too; they come last."""
        return replace(self, train=np.concatenate([self.train, self.validation]))


def read_split_key(section: SplitSection, table: Table) -> Cells:
    """The split's key of each row: a time (NaN: missing), a group ("": missing), or 0 for a split without a column."""
    column = section.column
    if column is None:
        return np.zeros(table.rows)
    if section.kind == "time":
        return times(table, column)
    # Groups are stripped: otherwise "a" and "a " could be in different parts, and training rows of a group would leak
    # into the test.
    return np.array([word.strip() for word in words(table, column)], dtype=object)


def split_rows(section: SplitSection, split_key: Cells, y: Cells, classes: tuple[str, ...]) -> Split:
    """The parts of the rows.

    Args:
        section: Kind, fractions and seed.
        split_key: As :func:`read_split_key` gives it, of the rows that are used; none is missing.
        y: ``[rows]`` or ``[rows, targets]``; of a classification the class numbers.
        classes: Names of the classes.

    Raises:
        DataError: too few rows, classes, times or groups.
    """
    match section.kind:
        case "random":
            return random_split(section, len(y))
        case "stratified":
            return stratified_split(section, y, classes)
        case "time":
            return time_split(section, split_key)
        case "group":
            return group_split(section, split_key)


def random_split(section: SplitSection, rows: int) -> Split:
    """Put every row into a random part.

    Raises:
        DataError: there are too few rows, or a part would be empty.
    """
    return _cut(np.random.default_rng(section.seed).permutation(rows), wanted_rows(section, rows))


def stratified_split(section: SplitSection, codes: RowNumbers, classes: Sequence[str]) -> Split:
    """Give every part about the same share of each class.

    Args:
        section: Fractions and seed.
        codes: int64 [rows], the class number of each row.
        classes: Names of the classes, for messages; a class may have no row.

    Raises:
        DataError: as `random_split`, or a class has fewer rows than there are parts.
    """
    wanted_rows(section, len(codes))
    generator = np.random.default_rng(section.seed)
    parts: list[Split] = []
    for code, name in enumerate(classes):
        members = np.flatnonzero(codes == code)
        if len(members) == 0:
            continue
        if len(members) < SMALLEST_CLASS_ROWS:
            raise DataError(
                f"class {quoted(name)} has {len(members)} row{'s' * (len(members) != 1)}; a stratified split needs "
                f"{SMALLEST_CLASS_ROWS} of each class, one per part: add rows, leave the class out, or use [split] "
                'kind = "random"'
            )
        test = max(1, round(len(members) * section.test))
        validation = max(1, min(round(len(members) * section.validation), len(members) - test - 1))
        test = min(test, len(members) - validation - 1)
        parts.append(_cut(generator.permutation(members), (test, validation)))
    return Split(*(np.sort(np.concatenate(rows)) for rows in zip(*map(_as_tuple, parts), strict=True)))


def time_split(section: SplitSection, times: NDArray[np.float64]) -> Split:
    """The oldest rows are training rows, the next validation rows, the newest test rows.

    Rows of one time stay together: each part ends where the time changes, as near to its share of the rows as possible.

    Args:
        section: The column's name, for messages, and the fractions.
        times: float64 [rows], without NaN; rows of equal time keep their order.

    Raises:
        DataError: as `random_split`, or there are fewer different times than parts.
    """
    rows = len(times)
    test, validation = wanted_rows(section, rows)
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if len(changes) < 2:
        raise DataError(_too_few(section, "different time", len(changes) + 1, rows))
    train_end, test_begin = _nearest_two(changes, rows - test - validation, rows - test)
    return Split(order[:train_end], order[train_end:test_begin], order[test_begin:])


def group_split(section: SplitSection, groups: NDArray[np.object_]) -> Split:
    """Put each group into one part, so that no group is in both the training and the test rows.

    Args:
        section: Fractions and seed. Parts are as near to the fractions as whole groups allow.
        groups: str [rows].

    Raises:
        DataError: as `random_split`, or there are fewer groups than parts.
    """
    test, validation = wanted_rows(section, len(groups))
    _, codes = np.unique(groups.astype(str), return_inverse=True)
    sizes = np.bincount(codes)
    if len(sizes) < 3:
        raise DataError(_too_few(section, "group", len(sizes), len(groups)))
    shuffled = np.random.default_rng(section.seed).permutation(len(sizes))
    by_size = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    # Large groups first, each into the part that lacks most rows. Parts that are still empty get the last groups.
    lacking = np.array([len(groups) - test - validation, validation, test])
    part_of = np.full(len(sizes), -1)
    for place, group in enumerate(by_size):
        empty = [part for part in range(3) if not (part_of == part).any()]
        left = len(sizes) - place
        part = empty[0] if len(empty) == left else int(np.argmax(lacking))
        part_of[group] = part
        lacking[part] -= sizes[group]
    return Split(*(np.flatnonzero(part_of[codes] == part) for part in range(3)))


def wanted_rows(section: SplitSection, rows: int) -> tuple[int, int]:
    """The numbers of test rows and of validation rows for a table of ``rows`` rows; each part has at least one row.

    Raises:
        DataError: there are too few rows, or a part would be empty.
    """
    if rows < SMALLEST_TABLE_ROWS:
        raise DataError(f"{rows} row{'s' * (rows != 1)} to train on; wanted at least {SMALLEST_TABLE_ROWS}")
    test, validation = round(rows * section.test), round(rows * section.validation)
    for name, size in (("test", test), ("validation", validation), ("train", rows - test - validation)):
        if size < 1:
            raise DataError(
                f"[split] validation = {section.validation:g} and test = {section.test:g} of {rows} rows leave "
                f"no row for the {name} part"
            )
    return test, validation


def shortage(section: SplitSection, split: Split) -> str:
    """A sentence with the sizes of the parts, if a part has less than half of its wanted rows; else ""."""
    rows = sum(map(len, _as_tuple(split)))
    test, validation = wanted_rows(section, rows)
    wanted, got = (rows - test - validation, validation, test), tuple(map(len, _as_tuple(split)))
    if all(2 * has >= want for has, want in zip(got, wanted, strict=True)):
        return ""
    return (
        f"column {quoted(section.column or '')}: {got[0]} rows train, {got[1]} validate and {got[2]} test, where "
        f"{wanted[0]}, {wanted[1]} and {wanted[2]} were wanted: rows of one {section.kind} stay together"
    )


def _too_few(section: SplitSection, what: str, count: int, rows: int) -> str:
    return (
        f"column {quoted(section.column or '')} holds {count} {what}{'s' * (count != 1)} in {rows} rows; a "
        f"{section.kind} split needs 3, one per part: add rows of other {section.kind}s, or use [split] "
        f'kind = "random", where rows of one {section.kind} may be in several parts'
    )


def _nearest_two(places: RowNumbers, first: int, second: int) -> tuple[int, int]:
    """Two different places, ascending, as near as possible to `first` and `second`: the sum of distances is smallest.

    Args:
        places: Two or more places, ascending.
        first: The wanted first place, below `second`.
        second: The wanted second place.
    """
    a, b = (int(np.abs(places - wanted).argmin()) for wanted in (first, second))
    if a == b:
        # One place is nearest to both: it is one of the two, and the other is its neighbour.
        pairs = [(each, each + 1) for each in (a - 1, a) if 0 <= each < len(places) - 1]
        a, b = min(pairs, key=lambda pair: abs(places[pair[0]] - first) + abs(places[pair[1]] - second))
    return int(places[a]), int(places[b])


def _cut(order: RowNumbers, sizes: tuple[int, int]) -> Split:
    test, validation = sizes
    return Split(
        train=np.sort(order[test + validation :]),
        validation=np.sort(order[test : test + validation]),
        test=np.sort(order[:test]),
    )


def _as_tuple(split: Split) -> tuple[RowNumbers, RowNumbers, RowNumbers]:
    return split.train, split.validation, split.test
