"""Missing cells: refused, dropped with their row, or imputed by the graph, which may tell the network of the gap."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from training.data.encoding import Column, Feature, Numbers
from training.data.table import Cells, Table
from training.errors import DataError, quoted, quoted_list
from training.recipe.config import Recipe


def select_rows(
    recipe: Recipe,
    table: Table,
    columns: tuple[Column, ...],
    blocks: list[Numbers],
    target: str,
    target_cells: Cells,
    split_key: Cells,
) -> NDArray[np.bool_]:
    """The rows to keep.

    Args:
        recipe: [data] missing tells what to do with missing cells.
        table: The rows, for messages.
        columns: The input columns.
        blocks: The features of each column, float64 [rows, features of the column], NaN where missing.
        target: Name of the target.
        target_cells: The target, float64 or str [rows], NaN or "" where missing.
        split_key: The split's key of each row, float64 or str [rows], NaN or "" where missing.

    Returns:
        bool [rows]: all True unless the recipe drops rows. "indicator" drops only rows without a target or split key,
        because they teach nothing.

    Raises:
        DataError: cells are missing that must not be. The message gives the column, how many, and the first row.
    """
    mode = recipe.data.missing
    gaps = {column.name: np.isnan(block[:, 0]) for column, block in zip(columns, blocks, strict=True)}
    no_target, no_key = _gap(target_cells), _gap(split_key)
    if mode == "drop_rows":
        dropped = no_target | no_key | np.logical_or.reduce(list(gaps.values()))
        if dropped.all():
            raise DataError(f"{table.source}: every row has a missing cell, so drop_rows leaves no row")
        return cast(NDArray[np.bool_], ~dropped)
    for column in columns:
        gap = gaps[column.name]
        if gap.any() and mode == "refuse":
            raise table.problem(
                column.name,
                f'{count_missing(table, gap)}; fill them, or set [data] missing = "indicator", "median" or "drop_rows"',
            )
        if gap.any() and column.categories:
            raise table.problem(
                column.name,
                f'{count_missing(table, gap)}, and words have no median; add the empty word "" to its list in '
                '[data.categories], or set [data] missing = "drop_rows"',
            )
    if mode == "indicator":
        kept = ~(no_target | no_key)
        if not kept.any():
            raise DataError(f"{table.source}: no row has a value in column {quoted(target)}, the target")
        return kept
    if no_target.any():
        raise table.problem(
            target, f'the target: {count_missing(table, no_target)}; remove them, or set missing = "drop_rows"'
        )
    if no_key.any():
        raise table.problem(
            recipe.split.column or "",
            f'[split] column: {count_missing(table, no_key)}; fill them, or set [data] missing = "drop_rows"',
        )
    return np.ones(table.rows, dtype=bool)


def _gap(cells: Cells) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(cells) if cells.dtype != object else cells == "", dtype=bool)


def count_missing(table: Table, gap: NDArray[np.bool_]) -> str:
    """How many cells are missing, and where the first one is."""
    rows = np.flatnonzero(gap)
    if len(rows) == 1:
        return f"1 cell is missing, in {table.place(rows[0])}"
    return f"{len(rows)} cells are missing, the first in {table.place(rows[0])}"


def medians(recipe: Recipe, x: Numbers, columns: tuple[Column, ...]) -> tuple[float | None, ...]:
    """The values that the graph imputes for missing numbers.

    Args:
        recipe: [data] missing tells whether values are imputed.
        x: float64 [training rows, features].
        columns: The columns of the features.

    Returns:
        Per feature the median, rounded to float32; 0 if no training row has a value; None if nothing is imputed. With
        "indicator" columns without a gap in training have a value too: a served row may have one.
    """
    imputed: list[float | None] = []
    for column in columns:
        if column.is_of_words or recipe.data.missing not in ("median", "indicator"):
            imputed += [None] * column.width
            continue
        for _ in range(column.width):
            present = x[:, len(imputed)]
            present = present[~np.isnan(present)]
            imputed.append(float(np.float32(np.median(present))) if len(present) else 0.0)
    return tuple(imputed)


def constant_features(x: Numbers, imputed: tuple[float | None, ...]) -> tuple[bool, ...]:
    """Per feature whether all training rows ``[rows, features]`` have the same value, after imputation."""
    filled = np.where(np.isnan(x), [0.0 if value is None else value for value in imputed], x)
    return tuple((filled == filled[0]).all(axis=0).tolist())


def warn_of_constants(
    table: Table, features: tuple[Feature, ...], constant: tuple[bool, ...], gaps: tuple[int, ...]
) -> list[str]:
    """A warning of the features that have one value only in the training rows.

    Raises:
        DataError: no input of the network varies.
    """
    names = [feature.name for feature, same in zip(features, constant, strict=True) if same]
    of_all = f"{len(names)} of {len(features)} inputs"
    text = f"{of_all} {'holds' if len(names) == 1 else 'hold'} one value only in the training rows"
    if len(names) == len(features) and not gaps:
        raise DataError(f"{table.source}: {text}; wanted one that varies: {quoted_list(names)}")
    gets = "gets" if len(names) == 1 else "get"
    return [f"{text} and {gets} weight zero: {quoted_list(names)}"] if names else []


def gap_places(
    recipe: Recipe, x: Numbers, columns: tuple[Column, ...], imputed: tuple[float | None, ...]
) -> tuple[int, ...]:
    """The features whose gaps the network is told by one more 0/1 input each.

    Args:
        recipe: [data] missing tells whether there are such inputs.
        x: float64 [training rows, features].
        columns: The columns of the features.
        imputed: The result of :func:`medians`.

    Returns:
        The place of the first feature of each column that is imputed, and that some training rows have and some lack.
        If all lack it, or none does, the input would be constant.
    """
    if recipe.data.missing != "indicator":
        return ()
    share = np.isnan(x).mean(axis=0)
    ends = np.cumsum([column.width for column in columns]).tolist()
    firsts = [end - column.width for end, column in zip(ends, columns, strict=True)]
    return tuple(place for place in firsts if imputed[place] is not None and 0 < share[place] < 1)
