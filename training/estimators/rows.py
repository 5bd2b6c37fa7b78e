"""X, y, weights and groups as a table. Where scikit-learn has words for a mistake, they are scikit-learn's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from training.data.encoding import Numbers
from training.data.split import SMALLEST_TABLE_ROWS
from training.data.table import Cells, Table, texts_of
from training.data.table.frame import table_of_frame
from training.data.table.header import refuse_twice
from training.errors import DataError

SOURCE = "X"


def read_inputs(estimator: BaseEstimator, x: Any, *, names: Sequence[str] | None = None) -> Table:
    """The columns of X: numbers as float64, all else as text.

    Args:
        estimator: Keeps number and names of the columns at a fit, and compares them later.
        x: ``[rows, columns]``: a DataFrame, an array, lists. NaN, None and empty texts are missing cells.
        names: Of the columns at the fit; None: this is the fit.

    Raises:
        ValueError: X is no table, has too few rows, an infinite number, or other columns than at the fit.
        TypeError: X is sparse.
    """
    _refuse_what_pandas_reads(x)
    limits = {"ensure_min_samples": SMALLEST_TABLE_ROWS} if names is None else {}
    if isinstance(x, pd.DataFrame):
        _refuse_names(x.columns)
        validate_data(estimator, x, reset=names is None, skip_check_array=True)
        check_array(np.zeros(x.shape, dtype=np.int8), estimator=estimator, **limits)
        given = [str(name) if str(name).strip() else f"x{place}" for place, name in enumerate(x.columns)]
        return _table_of(x.set_axis(list(names or given), axis=1))
    if not hasattr(x, "shape"):
        x = np.asarray(x, dtype=object) if _holds_text(np.asarray(x, dtype=object)) else x
    if _holds_text(x):
        cells = validate_data(estimator, x, reset=names is None, dtype=None, ensure_all_finite=False, **limits)
        frame = pd.DataFrame(cells, columns=list(names or _places(cells))).infer_objects()
        return _table_of(frame)
    numbers = validate_data(
        estimator, x, reset=names is None, dtype=np.float64, ensure_all_finite="allow-nan", **limits
    )
    columns = np.ascontiguousarray(numbers.T)
    cells = dict(zip(names or _places(numbers), columns, strict=True))
    return Table(SOURCE, cells, len(numbers), is_in_memory=True)


def read_numbers(estimator: BaseEstimator, y: Any) -> Numbers:
    """The targets of a regression, float64 ``[rows, targets]``.

    Raises:
        ValueError: y is missing, of the wrong shape, no numbers, or not finite.
    """
    _require(estimator, y)
    try:
        found = check_array(y, ensure_2d=False, dtype="numeric", input_name="y", estimator=estimator)
    except ValueError as error:
        if not _holds_text(np.asarray(y)):
            raise
        raise ValueError(f"y: {error}; wanted numbers (words are classes, which KANClassifier answers)") from error
    if found.ndim == 2 and found.shape[1] > 1:
        return np.asarray(found, dtype=np.float64)
    return np.asarray(column_or_1d(found, warn=True), dtype=np.float64)[:, None]


def read_labels(estimator: BaseEstimator, y: Any) -> Cells:
    """The labels of a classification, ``[rows]``.

    Raises:
        ValueError: y is missing, of the wrong shape, or has a missing label.
    """
    _require(estimator, y)
    if isinstance(y, list | tuple):
        y = np.asarray(y)  # Else scikit-learn takes texts for numbers that are none.
    # scikit-learn looks for NaN only, and does not name y where it finds one among words.
    is_number = np.asarray(y).dtype.kind != "O"
    checked = check_array(
        y, ensure_2d=False, dtype=None, ensure_all_finite=is_number, input_name="y", estimator=estimator
    )
    labels: Cells = column_or_1d(checked, warn=True)
    if (missing := pd.isna(labels)).any():
        raise ValueError(f"Input y contains no label in row {int(missing.argmax()) + 1}; wanted one in every row")
    return labels


@contextmanager
def naming(argument: str) -> Iterator[None]:
    """Say which argument a refusal is about, where it is not X or y."""
    try:
        yield
    except ValueError as error:
        kind = DataError if isinstance(error, DataError) else ValueError
        raise kind(f"{argument}: {error}") from error


def check_lengths(rows: int, values: Cells) -> None:
    """Refuse values that are not one a row, in scikit-learn's words."""
    check_consistent_length(np.empty(rows), values)


def read_weights(sample_weight: Any, rows: int) -> Numbers:
    """The weights, float64 ``[rows]``.

    Raises:
        ValueError: not one a row, or one is negative or not finite.
    """
    found: Numbers = _check_sample_weight(
        sample_weight, np.empty((rows, 1)), dtype=np.float64, ensure_non_negative=True
    )
    return found


def read_groups(groups: Any, rows: int) -> Cells:
    """The groups as text, ``[rows]``.

    Raises:
        ValueError: not one a row, or one is missing.
    """
    given = np.asarray(column_or_1d(groups))
    check_lengths(rows, given)
    missing = pd.isna(given)
    if missing.any():
        raise ValueError(f"groups has no value in row {int(missing.argmax()) + 1}; wanted one in every row")
    return np.array([str(group) for group in given], dtype=object)


def target_names(y: Any, count: int, taken: Sequence[str]) -> tuple[str, ...]:
    """The names of a Series or a DataFrame, else y, or y0, y1, …; none of those that are taken."""
    columns = list(y.columns) if isinstance(y, pd.DataFrame) else [getattr(y, "name", None)]
    given = [name for name in columns if isinstance(name, str) and name.strip()]
    if len(given) != count:
        given = ["y"] if count == 1 else [f"y{place}" for place in range(count)]
    names: list[str] = []
    for name in given:
        names.append(free_name(name, [*taken, *names]))
    return tuple(names)


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with underscores behind it until no column has it."""
    while name in taken:
        name += "_"
    return name


def with_columns(table: Table, more: Mapping[str, Cells]) -> Table:
    """The table with further columns behind its own: targets, weights, groups."""
    return replace(table, source=f"{SOURCE} and y", cells={**table.cells, **more})


def stack(first: Table, second: Table) -> Table:
    """The rows of both tables, which have the same columns."""
    cells = {}
    for name, above in first.cells.items():
        both = [above, second.cells[name]]
        if len({each.dtype == object for each in both}) > 1:
            both = [each if each.dtype == object else texts_of(each).cells() for each in both]
        cells[name] = np.concatenate(both)
    return replace(first, cells=cells, rows=first.rows + second.rows)


def _require(estimator: BaseEstimator, y: Any) -> None:
    if y is None:
        name = type(estimator).__name__
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")


def _refuse_what_pandas_reads(x: Any) -> None:
    """Name the call of pandas, because scikit-learn would advise `reshape`."""
    if isinstance(x, str | PathLike):
        raise ValueError(f"X is the text {str(x)!r}; wanted rows: pd.read_csv reads a file")
    if issparse(x):  # scikit-learn has words for it, and some sparse matrices are dicts
        return
    rows = [x] if isinstance(x, Mapping) else x
    if isinstance(rows, list | tuple) and any(isinstance(row, Mapping) for row in rows):
        made = "pd.DataFrame([row])" if isinstance(x, Mapping) else "pd.DataFrame(rows)"
        raise ValueError(f"X holds values by name; wanted a DataFrame: {made} makes one")


def _refuse_names(columns: "pd.Index[Any]") -> None:
    """Refuse names that a served row cannot have; scikit-learn would say less, or ignore them."""
    if columns.nlevels > 1:
        made = 'X.columns = ["_".join(map(str, name)) for name in X.columns]'
        raise ValueError(f"X has column names of {columns.nlevels} levels; wanted one, such as by {made}")
    refuse_twice(SOURCE, [str(name) for name in columns])


def _holds_text(x: Any) -> bool:
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    return kind in "US" or (kind == "O" and any(isinstance(cell, str) for cell in np.ravel(np.asarray(x))))


def _table_of(frame: pd.DataFrame) -> Table:
    table = table_of_frame(frame, SOURCE)
    for name, text in table.nested.items():  # every column is an input
        raise table.problem(name, text)
    return replace(table, is_in_memory=True)


def _places(x: Any) -> list[str]:
    return [f"x{place}" for place in range(x.shape[1])]
