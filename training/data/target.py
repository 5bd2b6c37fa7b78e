"""The target: its cells as numbers or classes, and what scale and objective ask of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.column import class_words, numbers
from training.data.encoding import Numbers
from training.data.float32_limits import logarithm_flaw, target_flaw
from training.data.missing import count_missing
from training.data.table import Cells, Table
from training.errors import DataError
from training.recipe.config import Recipe

# The skewness of an exponential distribution is 2, that of a normal one 0.
_SKEWED = 1.0


def read_target(recipe: Recipe, table: Table, target: str) -> Cells:
    """The target's cells: words for a classification, else numbers; "" or NaN where missing.

    Raises:
        DataError: a cell that should be a number is none. The message names the first such cell.
    """
    return class_words(table, target) if recipe.task.kind == "classification" else numbers(table, target)


def keep_targets(
    recipe: Recipe, table: Table, targets: Sequence[str], cells: Sequence[Cells], kept: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Of the kept rows those that lack no target.

    Args:
        recipe: [data] missing tells whether rows may be dropped.
        table: The rows, for messages.
        targets: Names of the targets.
        cells: For each target its cells ``[rows]``. Rows that lack the first target are dropped already.
        kept: bool ``[rows]``.

    Raises:
        DataError: a target is missing and rows must not be dropped, or no row is left.
    """
    for name, values in zip(targets[1:], cells[1:], strict=True):
        missing = np.isnan(values) & kept
        if missing.any() and recipe.data.missing not in ("drop_rows", "indicator"):
            raise table.problem(
                name, f'a target: {count_missing(table, missing)}; remove them, or set missing = "drop_rows"'
            )
        kept = kept & ~missing
    if not kept.any():
        raise DataError(f"{table.source}: every row has a missing cell, so drop_rows leaves no row")
    return kept


def check_varies(table: Table, targets: Sequence[str], y: Cells, *, are_classes: bool) -> None:
    """Refuse a target that is the same in all rows ``[training rows, targets]``."""
    for place, name in enumerate(targets):
        if len(np.unique(y[:, place])) == 1:
            rest = ": one class is nothing to learn" if are_classes else "; there is nothing to learn"
            raise table.problem(name, f"the target is the same in every training row{rest}")


def check_numbers(recipe: Recipe, table: Table, targets: Sequence[str], y: Cells, kept: NDArray[np.bool_]) -> None:
    """Refuse numeric targets that float32 cannot hold, or that the recipe's scale or objective does not allow.

    Args:
        recipe: [task] says what is asked of the targets.
        table: The rows, for messages.
        targets: Names of the targets.
        y: ``[kept rows, targets]``, finite.
        kept: bool ``[rows]``, which rows of the table ``y`` is of.

    Raises:
        DataError: the message names the first row, or says what float32 cannot hold.
    """
    for place, name in enumerate(targets):
        _check_column(recipe, table, name, y[:, place], kept)


def _check_column(recipe: Recipe, table: Table, name: str, y: Cells, kept: NDArray[np.bool_]) -> None:
    task = recipe.task
    key = f'objective = "{task.objective}"' if task.objective in ("poisson", "gamma") else 'target_scale = "log"'
    logarithms = task.target_scale == "log" or task.objective == "gamma"
    low = y < 0 if task.objective == "poisson" else y <= 0
    if (logarithms or task.objective == "poisson") and low.any():
        first = int(np.argmax(low))
        wanted = "numbers above 0" if logarithms else "counts or rates, 0 or more"
        raise table.problem(
            name,
            f"{table.place(int(np.flatnonzero(kept)[first]))} holds {y[first]:g}; [task] {key} needs {wanted}, and "
            f"{int(low.sum())} of {len(y)} are not",
        )
    find_flaw = logarithm_flaw if logarithms else target_flaw
    if flaw := find_flaw(float(y.min()), float(y.max()), recipe.verify.tolerance):
        raise table.problem(name, f"the target holds {flaw}")


def is_positive_and_skewed(values: Numbers) -> bool:
    """Whether a target is one for ``[task] target_scale = "log"``: above 0, with a long tail that its logarithm lacks.

    The rule: the skewness of the values is above 1, and that of their logarithms is closer to 0. For prices, incomes
    and sizes it is so. For counts with a 0 and for numbers around a mean it is not.

    Args:
        values: The target, any shape; NaN is left out.
    """
    values = values[~np.isnan(values)]
    if len(values) == 0 or values.min() <= 0:
        return False
    skewness = _skewness(values)
    return skewness > _SKEWED and abs(_skewness(np.log(values))) < skewness


def _skewness(values: Numbers) -> float:
    """The third standardized moment; 0 for a constant."""
    deviations = values - values.mean()
    scale = float(np.abs(deviations).max())
    if scale == 0:
        return 0.0
    deviations /= scale  # The third power of a large number would overflow.
    return float((deviations**3).mean() / (deviations**2).mean() ** 1.5)
