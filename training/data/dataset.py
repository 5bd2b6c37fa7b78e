"""From a recipe to matrices: features, target and the rows of each part."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from training.data.column import words
from training.data.encoding import (
    Column,
    Feature,
    Numbers,
    columns_of,
    encode_classes,
    feature_matrix,
    features_of,
    gap_input_name,
)
from training.data.float32_limits import warn_of_rounding
from training.data.learned_features import learn_features, warn_of_numbers_as_words
from training.data.missing import constant_features, gap_places, medians, select_rows, warn_of_constants
from training.data.objective.loss_function import LossFunction
from training.data.source import load_source
from training.data.split import RowNumbers, Split, read_split_key, shortage, split_rows
from training.data.table import Cells, Table
from training.data.target import check_numbers, check_varies, keep_targets, read_target
from training.data.weights import weigh
from training.errors import DataError, quoted_list
from training.recipe.config import Recipe
from training.recipe.sections import TargetScale

_BLOCK_ROWS = 2**16


@dataclass(frozen=True)
class Dataset:
    """A table ready for training. Nothing is imputed or scaled here; the graph does both.

    x            float64 [rows, features], rounded to float32, NaN where a cell is missing
    y            int64 [rows], indices into `classes`; or float64 [rows, targets] in raw units (then no `classes`)
    train, validation, test   int64 row numbers, disjoint, together all rows
    imputed      per feature: the value for a missing cell (median of the training rows); None: no cell may be missing
    gaps         places of the features with a gap input: one more input of the network, 1 where the cell is missing
    constant     per feature: True if all training rows have the same value, after imputation
    spelled      the cells [rows] of each column whose features do not tell them: words that are taken as "other"
    fingerprint  sha256 over features and target
    groups       for a group split the number of each row's group, else None
    source       the name of a file or "sklearn:digits"; never a full path
    loss         what training minimizes, in the unit of the target
    target_scale "log": the network is fitted to the logarithms of y
    weights      float64 [rows], 0 or more, in the loss and the metrics; None: all rows count alike
    class_weights  of each class, in the loss; empty: all 1
    """

    columns: tuple[Column, ...]
    features: tuple[Feature, ...]
    x: Numbers
    y: Numbers | RowNumbers
    targets: tuple[str, ...]
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
    loss: LossFunction
    target_scale: TargetScale = "linear"
    weights: Numbers | None = None
    class_weights: tuple[float, ...] = ()
    groups: RowNumbers | None = None

    @property
    def target(self) -> str:
        """The target; the names of several with commas, for people."""
        return ", ".join(self.targets)

    @property
    def input_names(self) -> tuple[str, ...]:
        """One name per input of the network: the features, then the gap inputs."""
        names = [feature.name for feature in self.features]
        return (*names, *(gap_input_name(names[place]) for place in self.gaps))

    @property
    def input_columns(self) -> tuple[str, ...]:
        """The table's column of each input of the network."""
        columns = [feature.column for feature in self.features]
        return (*columns, *(columns[place] for place in self.gaps))

    def without_validation(self) -> "Dataset":
        """The same table whose validation rows train too."""
        return replace(self, train=np.concatenate([self.train, self.validation]), validation=self.validation[:0])


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
    target: str | tuple[str, ...],
    *,
    known_classes: tuple[str, ...] | None = None,
    known_columns: tuple[Column, ...] | None = None,
    arrange: Callable[[Split], Split] | None = None,
) -> Dataset:
    """Prepare a table that is already in memory.

    Args:
        recipe: Split, categories and treatment of missing cells.
        table: The rows.
        inputs: Names of the input columns, in the order of the features.
        target: Name of the column to predict, or for a regression the names of several.
        known_classes: For a published version that is trained further: its classes, in its order (empty for a
            regression). The rows may lack some and must have no other. Warnings that only matter for a first training,
            such as constant inputs, are left out. None: a first training.
        known_columns: For such a version: its columns with their target statistics. None: as the recipe has them.
        arrange: From the parts of the recipe's split to those that are used, such as :meth:`Split.joined`; None: these.

    Raises:
        DataError: as `prepare`.
    """
    targets = (target,) if isinstance(target, str) else target
    _require_columns(recipe, table, inputs, targets)
    columns = known_columns or columns_of(recipe.data, inputs)
    x, blocks = feature_matrix(table, columns, are_fitted=known_columns is not None)
    is_classification = recipe.task.kind == "classification"
    cells = [read_target(recipe, table, name) for name in targets]
    split_key = read_split_key(recipe.split, table)
    kept = select_rows(recipe, table, columns, blocks, targets[0], cells[0], split_key)
    kept = keep_targets(recipe, table, targets, cells, kept)

    doubts = [*warn_of_rounding(table, columns, blocks), *warn_of_numbers_as_words(table, columns)]
    y: Numbers | RowNumbers = np.stack(cells, axis=1)[kept]
    classes: tuple[str, ...] = ()
    if is_classification:
        y, classes = encode_classes(table, targets[0], cells[0][kept], known_classes)
    try:
        split = split_rows(recipe.split, split_key[kept], y, classes)
    except DataError as error:
        raise DataError(f"{table.source}: {error}") from None
    split = split if arrange is None else arrange(split)
    weights, class_weights = weigh(recipe, table, kept, y, classes, split)
    counted = split.train if weights is None else split.train[weights[split.train] > 0]
    if known_classes is None:
        check_varies(table, targets, y[counted].reshape(len(counted), -1), are_classes=is_classification)
    if not is_classification:
        check_numbers(recipe, table, targets, y, kept)
    columns, x = learn_features(table, columns, x, kept, y, classes, split.train, weights, recipe.fit.seed)
    features = features_of(table, columns)
    imputed = medians(recipe, x[split.train], columns)
    constant = constant_features(x[split.train], imputed)
    gaps = gap_places(recipe, x[split.train], columns, imputed)
    return Dataset(
        columns=columns,
        features=features,
        x=x,
        y=y,
        targets=targets,
        task=recipe.task.kind,
        classes=classes,
        train=split.train,
        validation=split.validation,
        test=split.test,
        imputed=imputed,
        gaps=gaps,
        constant=constant,
        warnings=(
            *(warn_of_constants(table, features, constant, gaps) if known_classes is None else ()),
            *doubts,
            *(() if arrange else _shortage_warnings(recipe, split)),
            *(_class_warnings(y, classes, split) if known_classes is None else ()),
        ),
        dropped_rows=table.rows - int(kept.sum()),
        spelled={
            column.name: words(table, column.name, column.categories)[kept] for column in columns if column.keeps_cells
        },
        fingerprint=_fingerprint(features, x, y, classes, weights),
        source=table.source,
        loss=LossFunction.of(recipe.task),
        target_scale=recipe.task.target_scale,
        weights=weights,
        class_weights=class_weights,
        groups=np.unique(split_key[kept].astype(str), return_inverse=True)[1] if recipe.split.kind == "group" else None,
    )


def _require_columns(recipe: Recipe, table: Table, inputs: tuple[str, ...], targets: tuple[str, ...]) -> None:
    for name in targets:
        table.require(name, "the target" if len(targets) == 1 else "a target")
    for name in inputs:
        table.require(name, "an input in [data] columns")
    if recipe.split.column is not None:
        table.require(recipe.split.column, "[split] column")
    if recipe.data.weights is not None:
        table.require(recipe.data.weights, "[data] weights")


def _shortage_warnings(recipe: Recipe, split: Split) -> list[str]:
    return [lack] if recipe.split.column is not None and (lack := shortage(recipe.split, split)) else []


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


def _fingerprint(
    features: tuple[Feature, ...], x: Numbers, y: Cells, classes: tuple[str, ...], weights: Numbers | None
) -> str:
    digest = hashlib.sha256(repr(([feature.name for feature in features], classes, x.shape, y.shape)).encode())
    for start in range(0, len(x), _BLOCK_ROWS):
        block = x[start : start + _BLOCK_ROWS]
        # All NaNs get one bit pattern, and so do 0.0 and -0.0.
        digest.update(np.where(np.isnan(block), np.nan, block + 0.0).astype("<f4").tobytes())
    digest.update(y.astype("<i8" if classes else "<f8").tobytes())
    digest.update(b"" if weights is None else weights.astype("<f8").tobytes())
    return digest.hexdigest()
