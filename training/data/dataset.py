"""From a recipe to matrices: features, target and the rows of each part."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.column import class_words, numbers, times, words
from training.data.encoding import Column, Feature, Numbers, encode_classes, feature_block, features_of
from training.data.float32_limits import target_flaw
from training.data.missing import medians, select_rows
from training.data.source import load_source
from training.data.split import RowNumbers, Split, group_split, random_split, shortage, stratified_split, time_split
from training.data.table import Cells, Table
from training.errors import DataError, quoted, quoted_list
from training.recipe.config import Recipe

_WHOLE_IN_FLOAT32 = 2**24


@dataclass(frozen=True)
class Dataset:
    """A table ready for training. Nothing is imputed or scaled here; the graph does both.

    x            float64 [rows, features], rounded to float32, NaN where a cell is missing
    y            int64 [rows], indices into `classes`; or float64 [rows, 1] in the target's unit (then no `classes`)
    train, validation, test   int64 row numbers, disjoint, together all rows
    imputed      per feature: the value for a missing cell (median of the training rows); None: no cell may be missing
    constant     per feature: True if all training rows have the same value, after imputation
    fingerprint  sha256 over features and target
    groups       for a group split the number of each row's group, else None
    source       the name of a file or "sklearn:digits"; never a full path
    """

    columns: tuple[Column, ...]
    features: tuple[Feature, ...]
    x: Numbers
    y: Numbers | RowNumbers
    target: str
    task: Literal["classification", "regression"]
    classes: tuple[str, ...]
    train: RowNumbers
    validation: RowNumbers
    test: RowNumbers
    imputed: tuple[float | None, ...]
    constant: tuple[bool, ...]
    warnings: tuple[str, ...]
    dropped_rows: int
    fingerprint: str
    source: str
    groups: RowNumbers | None = None


def prepare(recipe: Recipe) -> Dataset:
    """Read the recipe's table and prepare it for training.

    Raises:
        DataError: the table cannot be read, or does not have the columns and values that the recipe names. The message
            gives the column and the row.
    """
    return prepare_table(recipe, *load_source(recipe.data))


def prepare_table(
    recipe: Recipe, table: Table, inputs: tuple[str, ...], target: str, *, known_classes: tuple[str, ...] | None = None
) -> Dataset:
    """Prepare a table that is already in memory.

    Args:
        recipe: Split, categories and treatment of missing cells.
        table: The rows.
        inputs: Names of the input columns, in the order of the features.
        target: Name of the column to predict.
        known_classes: For a published version that is trained further: its classes, in its order (empty for a
            regression). The rows may lack some and must have no other. Warnings that only matter for a first training,
            such as constant inputs, are left out. None: a first training.

    Raises:
        DataError: as `prepare`.
    """
    _require_columns(recipe, table, inputs, target)
    columns = tuple(Column(name, recipe.data.categories.get(name, ())) for name in inputs)
    features = features_of(table, columns)
    blocks = [feature_block(table, column) for column in columns]
    is_classification = recipe.task.kind == "classification"
    target_cells = class_words(table, target) if is_classification else numbers(table, target)
    split_key = _split_key(recipe, table)
    kept = select_rows(recipe, table, columns, blocks, target, target_cells, split_key)

    x = np.concatenate(blocks, axis=1)[kept]
    y: Numbers | RowNumbers = target_cells[kept].reshape(-1, 1)
    classes: tuple[str, ...] = ()
    if is_classification:
        y, classes = encode_classes(table, target, target_cells[kept], known_classes)
    try:
        split = _split(recipe, split_key[kept], y, classes)
    except DataError as error:
        raise DataError(f"{table.source}: {error}") from None
    if len(np.unique(y[split.train])) == 1 and known_classes is None:
        raise table.problem(target, "the target is the same in every training row; there is nothing to learn")
    if not is_classification and (flaw := target_flaw(float(y.min()), float(y.max()), recipe.verify.tolerance)):
        raise table.problem(target, f"the target holds {flaw}")
    imputed = medians(recipe, x[split.train], columns)
    constant = _constant(x[split.train], imputed)
    return Dataset(
        columns=columns,
        features=features,
        x=x,
        y=y,
        target=target,
        task=recipe.task.kind,
        classes=classes,
        train=split.train,
        validation=split.validation,
        test=split.test,
        imputed=imputed,
        constant=constant,
        warnings=(
            *(_constant_warnings(features, constant) if known_classes is None else ()),
            *_rounding_warnings(table, columns, blocks),
            *_shortage_warnings(recipe, split),
            *(_class_warnings(y, classes, split) if known_classes is None else ()),
        ),
        dropped_rows=table.rows - int(kept.sum()),
        fingerprint=_fingerprint(features, x, y, classes),
        source=table.source,
        groups=np.unique(split_key[kept].astype(str), return_inverse=True)[1] if recipe.split.kind == "group" else None,
    )


def held_out_table(dataset: Dataset) -> pd.DataFrame:
    """The test rows in the user's form: with words, missing cells and the target.

    Returns:
        Input columns in the recipe's order, then the target. Numbers are float32, so that a CSV file of them has short
        numbers and reads back the same. Missing cells are NaN or "".
    """
    x = dataset.x[dataset.test]
    cells: dict[str, NDArray[np.float32] | Cells | Numbers] = {}
    place = 0
    for column in dataset.columns:
        width = max(1, len(column.categories))
        block = x[:, place : place + width]
        place += width
        if column.categories:
            cells[column.name] = np.array(column.categories, dtype=object)[block.argmax(axis=1)]
        else:
            cells[column.name] = block[:, 0].astype(np.float32)
    y = dataset.y[dataset.test]
    cells[dataset.target] = np.array(dataset.classes, dtype=object)[y] if dataset.classes else y[:, 0]
    return pd.DataFrame(cells)


def _require_columns(recipe: Recipe, table: Table, inputs: tuple[str, ...], target: str) -> None:
    table.require(target, "the target")
    for name in inputs:
        table.require(name, "an input in [data] columns")
    if recipe.split.column is not None:
        table.require(recipe.split.column, "[split] column")


def _split_key(recipe: Recipe, table: Table) -> Cells:
    """The split's key of each row: a time (NaN: missing), a group ("": missing), or 0 for a split without a column."""
    column = recipe.split.column
    if column is None:
        return np.zeros(table.rows)
    if recipe.split.kind == "time":
        return times(table, column)
    # Groups are stripped: otherwise "a" and "a " could be in different parts, and training rows of a group would leak
    # into the test.
    return np.array([word.strip() for word in words(table, column)], dtype=object)


def _split(recipe: Recipe, split_key: Cells, y: Cells, classes: tuple[str, ...]) -> Split:
    section = recipe.split
    match section.kind:
        case "random":
            return random_split(section, len(y))
        case "stratified":
            return stratified_split(section, y, classes)
        case "time":
            return time_split(section, split_key)
        case "group":
            return group_split(section, split_key)


def _constant(x: Numbers, imputed: tuple[float | None, ...]) -> tuple[bool, ...]:
    filled = np.where(np.isnan(x), np.array([0.0 if value is None else value for value in imputed]), x)
    return tuple(bool(same) for same in (filled == filled[:1]).all(axis=0))


def _constant_warnings(features: tuple[Feature, ...], constant: tuple[bool, ...]) -> list[str]:
    names = [feature.name for feature, same in zip(features, constant, strict=True) if same]
    if not names:
        return []
    return [
        f"{len(names)} of {len(features)} inputs hold one value only in the training rows and get weight zero: "
        f"{quoted_list(names)}"
    ]


def _rounding_warnings(table: Table, columns: tuple[Column, ...], blocks: list[Numbers]) -> list[str]:
    """Warn if float32 makes different numbers of a column equal: large whole numbers, mostly keys or time stamps."""
    warnings = []
    for column, block in zip(columns, blocks, strict=True):
        if column.categories or not (np.abs(block) >= _WHOLE_IN_FLOAT32).any():
            continue
        values = numbers(table, column.name)
        values = values[~np.isnan(values)]
        exact, rounded = len(np.unique(values)), len(np.unique(values.astype(np.float32)))
        if rounded < exact:
            warnings.append(
                f"column {quoted(column.name)} has {exact} different values, of which float32 keeps {rounded}"
            )
    return warnings


def _shortage_warnings(recipe: Recipe, split: Split) -> list[str]:
    lack = shortage(recipe.split, split) if recipe.split.column is not None else ""
    return [lack] if lack else []


def _class_warnings(y: Cells, classes: tuple[str, ...], split: Split) -> list[str]:
    absent = classes_without_rows(classes, y[split.train])
    if not absent:
        return []
    return [
        f"{len(absent)} of {len(classes)} classes have no training row and cannot be learned: {quoted_list(absent)}"
    ]


def classes_without_rows(classes: tuple[str, ...], y: Cells) -> list[str]:
    """The classes whose number is not in ``y``."""
    present = set(y.ravel().tolist())
    return [name for code, name in enumerate(classes) if code not in present]


def _fingerprint(features: tuple[Feature, ...], x: Numbers, y: Cells, classes: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr(([feature.name for feature in features], classes, x.shape, y.shape)).encode())
    # All NaNs get one bit pattern, and so do 0.0 and -0.0.
    digest.update(np.where(np.isnan(x), np.nan, x + 0.0).astype("<f4").tobytes())
    digest.update(y.astype("<i8" if classes else "<f8").tobytes())
    return digest.hexdigest()
