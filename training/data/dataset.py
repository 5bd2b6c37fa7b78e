"""From a recipe to matrices: features, target and the rows of each part."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.column import class_words, numbers, words
from training.data.encoding import (
    Column,
    Feature,
    Numbers,
    columns_of,
    encode_classes,
    feature_block,
    features_of,
    gap_input_name,
)
from training.data.float32_limits import rounding_warnings, target_flaw
from training.data.learned_features import learn_features
from training.data.missing import gap_places, medians, select_rows
from training.data.parts import split_key, split_rows
from training.data.source import load_source
from training.data.split import RowNumbers, Split, shortage
from training.data.table import Cells, Table
from training.errors import DataError, quoted_list
from training.recipe.config import Recipe


@dataclass(frozen=True)
class Dataset:
    """A table ready for training. Nothing is imputed or scaled here; the graph does both.

    x            float64 [rows, features], rounded to float32, NaN where a cell is missing
    y            int64 [rows], indices into `classes`; or float64 [rows, 1] in the target's unit (then no `classes`)
    train, validation, test   int64 row numbers, disjoint, together all rows
    imputed      per feature: the value for a missing cell (median of the training rows); None: no cell may be missing
    gaps         places of the features with a gap input: one more input of the network, 1 where the cell is missing
    constant     per feature: True if all training rows have the same value, after imputation
    spelled      the cells [rows] of each column whose features do not tell them: words that are taken as "other"
    fingerprint  sha256 over features and target
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
    gaps: tuple[int, ...]
    constant: tuple[bool, ...]
    warnings: tuple[str, ...]
    dropped_rows: int
    spelled: Mapping[str, Cells]
    fingerprint: str
    source: str

    @property
    def input_names(self) -> tuple[str, ...]:
        """One name per input of the network: the features, then the gap inputs."""
        names = [feature.name for feature in self.features]
        return (*names, *(gap_input_name(names[place]) for place in self.gaps))


def prepare(recipe: Recipe) -> Dataset:
    """Read the recipe's table and prepare it for training.

    Raises:
        DataError: the table cannot be read, or does not have the columns and values that the recipe names. The message
            gives the column and the row.
    """
    return prepare_table(recipe, *load_source(recipe.data))


def prepare_table(
    recipe: Recipe,
    table: Table,
    inputs: tuple[str, ...],
    target: str,
    *,
    known_classes: tuple[str, ...] | None = None,
    known_columns: tuple[Column, ...] | None = None,
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
        known_columns: For such a version: its columns with their target statistics. None: as the recipe has them.

    Raises:
        DataError: as `prepare`.
    """
    _require_columns(recipe, table, inputs, target)
    columns = known_columns or columns_of(recipe.data, inputs)
    blocks = [feature_block(table, column) for column in columns]
    is_classification = recipe.task.kind == "classification"
    target_cells = class_words(table, target) if is_classification else numbers(table, target)
    key = split_key(recipe, table)
    kept = select_rows(recipe, table, columns, blocks, target, target_cells, key)

    y: Numbers | RowNumbers = target_cells[kept].reshape(-1, 1)
    classes: tuple[str, ...] = ()
    if is_classification:
        y, classes = encode_classes(table, target, target_cells[kept], known_classes)
    try:
        split = split_rows(recipe, key[kept], y, classes)
    except DataError as error:
        raise DataError(f"{table.source}: {error}") from None
    if len(np.unique(y[split.train])) == 1 and known_classes is None:
        raise table.problem(target, "the target is the same in every training row; there is nothing to learn")
    if not is_classification and (flaw := target_flaw(float(y.min()), float(y.max()), recipe.verify.tolerance)):
        raise table.problem(target, f"the target holds {flaw}")
    columns, x = learn_features(table, columns, blocks, kept, y, classes, split.train, recipe.fit.seed)
    features = features_of(table, columns)
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
        gaps=gap_places(recipe, x[split.train], columns, imputed),
        constant=constant,
        warnings=(
            *(_constant_warnings(features, constant) if known_classes is None else ()),
            *rounding_warnings(table, columns, blocks),
            *_shortage_warnings(recipe, split),
            *(_class_warnings(y, classes, split) if known_classes is None else ()),
        ),
        dropped_rows=table.rows - int(kept.sum()),
        spelled={
            column.name: words(table, column.name, column.categories)[kept] for column in columns if column.keeps_cells
        },
        fingerprint=_fingerprint(features, x, y, classes),
        source=table.source,
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
        block = x[:, place : place + column.width]
        place += column.width
        if column.name in dataset.spelled:
            cells[column.name] = dataset.spelled[column.name][dataset.test]
        elif column.categories:
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
