"""Which rows train, which validate and which test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError, quoted
from training.sections import SplitSection

SMALLEST_TABLE_ROWS = 10
SMALLEST_CLASS_ROWS = 3

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of each part, int64, disjoint and together all rows; in file order, save that time is in its own."""

    train: Rows
    validation: Rows
    test: Rows


def random_split(section: SplitSection, rows: int) -> Split:
    """Every row in a part by chance.

    Raises:
        DataError: when there are too few rows, or a part would be empty.
    """
    return _cut(np.random.default_rng(section.seed).permutation(rows), _sizes(section, rows))


def stratified_split(section: SplitSection, codes: Rows, classes: Sequence[str]) -> Split:
    """Every part with about the same share of each class.

    Args:
        section: fractions and seed.
        codes: int64 [rows], the class of each row.
        classes: the names of the classes, for messages; one without any row is in no part.

    Raises:
        DataError: as `random_split`, or when a class has fewer rows than there are parts.
    """
    _sizes(section, len(codes))
    generator = np.random.default_rng(section.seed)
    parts: list[Split] = []
    for code, name in enumerate(classes):
        members = np.flatnonzero(codes == code)
        if len(members) == 0:
            continue
        if len(members) < SMALLEST_CLASS_ROWS:
            raise DataError(
                f"class {quoted(name)} has {len(members)} row{'s' * (len(members) != 1)}; a stratified split needs "
                f"{SMALLEST_CLASS_ROWS} of each class, one a part: add rows, leave the class out, or use [split] "
                'kind = "random"'
            )
        test = max(1, round(len(members) * section.test))
        validation = max(1, min(round(len(members) * section.validation), len(members) - test - 1))
        test = min(test, len(members) - validation - 1)
        parts.append(_cut(generator.permutation(members), (test, validation)))
    return Split(*(np.sort(np.concatenate(rows)) for rows in zip(*map(_as_tuple, parts), strict=True)))


def time_split(section: SplitSection, times: NDArray[np.float64]) -> Split:
    """The past trains, the rows after it validate, the last ones test.

    Args:
        section: fractions.
        times: float64 [rows], without NaN; rows of equal time keep their order.

    Raises:
        DataError: as `random_split`.
    """
    order = np.argsort(times, kind="stable")
    test, validation = _sizes(section, len(times))
    train = len(times) - test - validation
    return Split(order[:train], order[train : train + validation], order[train + validation :])


def group_split(section: SplitSection, groups: NDArray[np.object_]) -> Split:
    """Whole groups in one part each, so that no group is both learned and judged.

    Args:
        section: fractions and seed; parts come as near to the fractions as whole groups allow.
        groups: str [rows].

    Raises:
        DataError: as `random_split`, or when there are fewer groups than parts.
    """
    test, validation = _sizes(section, len(groups))
    _, codes = np.unique(groups.astype(str), return_inverse=True)
    sizes = np.bincount(codes)
    if len(sizes) < 3:
        raise DataError(f"column {quoted(section.column or '')} holds {len(sizes)} group(s); wanted 3, one a part")
    shuffled = np.random.default_rng(section.seed).permutation(len(sizes))
    by_size = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    # Big groups first, each into the part that lacks most; the last groups go where there is none yet.
    lacking = np.array([len(groups) - test - validation, validation, test])
    part_of = np.full(len(sizes), -1)
    for place, group in enumerate(by_size):
        empty = [part for part in range(3) if not (part_of == part).any()]
        left = len(sizes) - place
        part = empty[0] if len(empty) == left else int(np.argmax(lacking))
        part_of[group] = part
        lacking[part] -= sizes[group]
    return Split(*(np.flatnonzero(part_of[codes] == part) for part in range(3)))


def _sizes(section: SplitSection, rows: int) -> tuple[int, int]:
    """Rows for testing and for validation; at least one of each, and one left to train."""
    if rows < SMALLEST_TABLE_ROWS:
        raise DataError(f"{rows} row{'s' * (rows != 1)} to learn from; wanted at least {SMALLEST_TABLE_ROWS}")
    test, validation = round(rows * section.test), round(rows * section.validation)
    for name, size in (("test", test), ("validation", validation), ("train", rows - test - validation)):
        if size < 1:
            raise DataError(
                f"[split] validation = {section.validation:g} and test = {section.test:g} of {rows} rows leave "
                f"no row for the {name} part"
            )
    return test, validation


def _cut(order: Rows, sizes: tuple[int, int]) -> Split:
    test, validation = sizes
    return Split(
        train=np.sort(order[test + validation :]),
        validation=np.sort(order[test : test + validation]),
        test=np.sort(order[:test]),
    )


def _as_tuple(split: Split) -> tuple[Rows, Rows, Rows]:
    return split.train, split.validation, split.test
