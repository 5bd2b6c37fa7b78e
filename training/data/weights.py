"""Weights of rows and of classes.

A row of weight 2 counts as two equal rows, in the loss and in the metrics. A row of weight 0 counts nowhere. The weight
of a class multiplies those of its rows in the loss alone: metrics tell how good the answers are to rows as they come.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.column import numbers
from training.data.encoding import Numbers
from training.data.split import RowNumbers, Split
from training.data.table import Table
from training.errors import DataError, quoted, quoted_list
from training.recipe.config import Recipe


def weigh(
    recipe: Recipe,
    table: Table,
    kept: NDArray[np.bool_],
    y: Numbers | RowNumbers,
    classes: tuple[str, ...],
    split: Split,
) -> tuple[Numbers | None, tuple[float, ...]]:
    """The weights of the kept rows, None if all count alike; and those of the classes, empty if they count alike.

    Raises:
        DataError: as the functions below.
    """
    weights: Numbers | None = None
    if recipe.data.weights is not None:
        weights = read_weights(table, recipe.data.weights, kept)
        check_parts(table, recipe.data.weights, weights, split)
    wanted = recipe.task.class_weights
    if wanted is None:
        return weights, ()
    of_rows = None if weights is None else weights[split.train]
    return weights, weigh_classes(table.source, wanted, classes, y[split.train].astype(np.int64), of_rows)


def read_weights(table: Table, column: str, kept: NDArray[np.bool_]) -> Numbers:
    """The weights of the kept rows, float64 ``[kept rows]``.

    Args:
        table: The rows.
        column: The column that holds the weights.
        kept: bool ``[rows]``, the rows that are used.

    Raises:
        DataError: a weight of a kept row is missing, no number, infinite or negative; or all are 0. The message names
            the first such row.
    """
    weights = numbers(table, column)
    for flawed, what in ((np.isnan(weights), "is empty"), (weights < 0, "holds")):
        if (flawed & kept).any():
            row = int(np.argmax(flawed & kept))
            value = "" if np.isnan(weights[row]) else f" {weights[row]:g}"
            raise table.problem(
                column, f"[data] weights: {table.place(row)} {what}{value}; wanted 0 or more in every row"
            )
    if not weights[kept].any():
        raise table.problem(column, f"[data] weights: all {int(kept.sum())} rows have weight 0; wanted one above 0")
    return weights[kept]


def check_parts(table: Table, column: str, weights: Numbers, split: Split) -> None:
    """Refuse a part of the rows that counts nowhere.

    Raises:
        DataError: the message names the part.
    """
    for name, rows in (("training", split.train), ("validation", split.validation), ("test", split.test)):
        if len(rows) and not weights[rows].any():
            raise table.problem(
                column,
                f"[data] weights: all {len(rows)} {name} rows have weight 0; add rows of weight above 0, or use "
                "another [split] seed",
            )


def weigh_classes(
    source: str,
    wanted: Literal["balanced"] | dict[str, float],
    classes: tuple[str, ...],
    y: RowNumbers,
    weights: Numbers | None,
) -> tuple[float, ...]:
    """The weight of each class.

    Args:
        source: Name of the table, for messages.
        wanted: "balanced": all classes count alike, n / (classes · n of the class) with n counted in weights of rows,
            as in scikit-learn. Or the weight of some classes by name; the others have 1.
        classes: The classes in their order.
        y: int64 ``[training rows]``.
        weights: ``[training rows]``, the weights of these rows; None: all 1.

    Raises:
        DataError: a name is none of the classes.
    """
    if wanted == "balanced":
        counts = np.bincount(y, weights, minlength=len(classes))
        present = np.count_nonzero(counts)
        return tuple(float(counts.sum() / (present * count)) if count else 1.0 for count in counts)
    if strange := [name for name in wanted if name not in classes]:
        raise DataError(
            f"{source}: [task] class_weights names {quoted(strange[0])}, which is none of the classes "
            f"{quoted_list(classes)}"
        )
    return tuple(float(wanted.get(name, 1.0)) for name in classes)
