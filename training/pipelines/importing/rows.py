"""The tables that come with a network of another library: what it read, and the truth where they hold it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.column import class_words, numbers
from training.data.encoding import Numbers, encode_classes
from training.data.float32_limits import input_flaw
from training.data.missing import count_missing
from training.data.split import RowNumbers
from training.data.table import Decimal, Table, read_table
from training.errors import DataError, quoted

_OTHER_DECIMAL = {
    ".": 'decimals are written with a point, unless --decimal "," is given',
    ",": 'decimals are written with a comma, because of --decimal ","',
}


@dataclass(frozen=True)
class Target:
    """What the network predicts.

    Attributes:
        target: The column that holds the truth, where a table has it.
        classes: Names of its outputs; empty for numbers.
        outputs: How many outputs the network has.
    """

    target: str
    classes: tuple[str, ...]
    outputs: int


@dataclass(frozen=True)
class Given:
    """A table as the network reads it.

    Attributes:
        source: Its file's name.
        names: Of the inputs.
        x: ``[rows, inputs]``, each value one of float32, none missing.
        truth: int64 ``[rows]`` classes, or ``[rows, 1]`` numbers; None: the table holds no truth to these outputs.
        has_target: Whether the target is among its columns; of several outputs it is no truth.
    """

    source: str
    names: tuple[str, ...]
    x: Numbers
    truth: Numbers | RowNumbers | None
    has_target: bool


def read_training(path: Path, width: int, goal: Target, decimal: Decimal = ".") -> Given:
    """A table whose columns, but for the target, are the network's inputs in their order.

    Args:
        path: CSV or Parquet.
        width: How many inputs the network has.
        goal: What it predicts.
        decimal: The mark before the decimals of a text file.

    Raises:
        DataError: another number of columns, a cell that is no number or missing, numbers that float32 cannot tell
            apart; where the target is there, a cell of it that is no number or none of the classes.
    """
    table = read_table(path, decimal)
    names = _find_other_columns(table, path, width, goal.target)
    given = _read_given(table, names, goal)
    for place, name in enumerate(names):
        if flaw := input_flaw(float(given.x[:, place].min()), float(given.x[:, place].max())):
            raise table.problem(name, flaw)
    return given


def read_held_out(path: Path, width: int, names: Sequence[str] | None, goal: Target, decimal: Decimal = ".") -> Given:
    """A table of rows to judge by: the target is among its columns, and so are the inputs, in any order.

    Args:
        path: CSV or Parquet.
        width: How many inputs the network has.
        names: Of the inputs; None: all columns but the target, in their order.
        goal: What the network predicts.
        decimal: The mark before the decimals of a text file.

    Raises:
        DataError: a column that is not there, a cell that is no number, missing or none of the classes, or several
            outputs without classes: one target is no truth to them.
    """
    table = read_table(path, decimal)
    table.require(goal.target, "the target")
    if not goal.classes and goal.outputs > 1:
        raise DataError(
            f"{path}: cannot judge by it: the network has {goal.outputs} outputs, whose classes are not named, and the "
            f"target {quoted(goal.target)} is one number"
        )
    if names is None:
        names = _find_other_columns(table, path, width, goal.target)
    for name in names:
        table.require(name, "an input")
    return _read_given(table, tuple(names), goal)


def spread(low: Numbers, high: Numbers, rows: int) -> Numbers:
    """``[rows, inputs]`` evenly over each input's range, ends included, in an order of its own for each.

    Args:
        low: ``[inputs]``.
        high: ``[inputs]``.
        rows: 2 or more.
    """
    share = np.tile(np.linspace(0, 1, rows)[:, None], len(low))
    x: Numbers = low + (high - low) * np.random.default_rng(0).permuted(share, axis=0)
    return x


def _find_other_columns(table: Table, path: Path, width: int, target: str) -> tuple[str, ...]:
    names = tuple(name for name in table.cells if name != target)
    if len(names) != width:
        without = f" beside the target {quoted(target)}" if target in table.cells else ""
        raise DataError(f"{path}: {len(names)} columns{without}; the network reads {width}, wanted one column for each")
    return names


def _read_given(table: Table, names: tuple[str, ...], goal: Target) -> Given:
    # As clients send them.
    x = np.stack([_read_filled(table, name) for name in names], axis=1).astype(np.float32).astype(np.float64)
    return Given(table.source, names, x, _read_truth(table, goal), goal.target in table.cells)


def _read_filled(table: Table, name: str) -> Numbers:
    values = numbers(table, name, other_decimal=_OTHER_DECIMAL[table.decimal])
    _check_present(table, name, np.isnan(values))
    return values


def _read_truth(table: Table, goal: Target) -> Numbers | RowNumbers | None:
    if goal.target not in table.cells or (not goal.classes and goal.outputs > 1):
        return None
    if not goal.classes:
        return _read_filled(table, goal.target).reshape(-1, 1)
    words = class_words(table, goal.target)
    _check_present(table, goal.target, words == "")
    return encode_classes(table, goal.target, words, goal.classes)[0]


def _check_present(table: Table, name: str, missing: NDArray[np.bool_]) -> None:
    if missing.any():
        raise table.problem(name, f"{count_missing(table, missing)}; wanted a value in every row")
